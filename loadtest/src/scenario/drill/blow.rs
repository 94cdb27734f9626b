//! The faults of a drill, and how each is dealt.

use crate::{
    clock,
    faults::{Cluster, ListedProcess, Role, Victim},
    limits::RESTART_PATIENCE,
    scenario::traffic::Traffic,
};
use anyhow::Context;
use bulkhead_model::CellId;
use std::{fmt, time::Duration};

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// `kill -9` of a node that does not lead, and its restart.
    KillFollower,
    /// `kill -9` of the cell's leader, and its restart.
    KillLeader,
    /// `kill -9` of the router, and its restart.
    KillRouter,
    /// The control plane is stopped, and stays so.
    StopControlPlane,
    /// `kill -9` of all nodes of the cell at once, and their restart.
    KillCell,
    /// The control plane is started again.
    StartControlPlane,
}

/// Where the blows fall.
#[derive(Debug)]
pub struct Field {
    pub cluster: Cluster,
    pub cell: CellId,
    /// How long traffic goes on with a process down.
    pub hold: Duration,
}

impl Blow {
    /// One round. While the control plane is gone, leader, router and the whole cell have to come back without it.
    pub const ROUND: [Self; 8] = [
        Self::KillFollower,
        Self::KillLeader,
        Self::KillRouter,
        Self::StopControlPlane,
        Self::KillLeader,
        Self::KillCell,
        Self::KillRouter,
        Self::StartControlPlane,
    ];

    /// Writes must go on all the time: one node is down at most.
    pub fn bounds_silence(&self) -> bool {
        match self {
            Self::KillFollower | Self::KillLeader | Self::StopControlPlane | Self::StartControlPlane => true,
            Self::KillRouter | Self::KillCell => false,
        }
    }

    /// The leader dies, others live.
    pub fn hits_leader(&self) -> bool {
        matches!(self, Self::KillLeader)
    }
}

impl fmt::Display for Blow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KillFollower => "kill -9 a follower",
            Self::KillLeader => "kill -9 the leader",
            Self::KillRouter => "kill -9 the router",
            Self::StopControlPlane => "stop the control plane",
            Self::KillCell => "kill -9 all nodes of the cell",
            Self::StartControlPlane => "start the control plane",
        })
    }
}

impl Field {
    /// Deals a blow and repairs it. Answers the longest time without an acknowledged write since it fell.
    pub async fn deal(&self, blow: Blow, traffic: &Traffic) -> anyhow::Result<Duration> {
        match blow {
            Blow::KillFollower => self.kill_and_restart(&[self.follower().await?], traffic).await,
            Blow::KillLeader => self.kill_and_restart(&[self.leader().await?], traffic).await,
            Blow::KillRouter => self.kill_and_restart(&self.all(Role::Router, None).await?, traffic).await,
            Blow::KillCell => self.kill_and_restart(&self.all(Role::Cell, Some(&self.cell)).await?, traffic).await,
            Blow::StopControlPlane => {
                traffic.acks.mark(clock::now());
                for row in self.all(Role::ControlPlane, None).await? {
                    self.cluster.stop(&row.name).await?;
                }
                tokio::time::sleep(self.hold).await;
                Ok(traffic.acks.longest_silence(clock::now()))
            }
            Blow::StartControlPlane => {
                traffic.acks.mark(clock::now());
                for row in self.cluster.of(Role::ControlPlane, None).await? {
                    self.cluster.start(&row.name).await?;
                }
                let missing = self.cluster.missing_after(RESTART_PATIENCE).await?;
                anyhow::ensure!(missing.is_empty(), "not ready: {}", missing.join(", "));
                Ok(traffic.acks.longest_silence(clock::now()))
            }
        }
    }

    async fn kill_and_restart(&self, rows: &[ListedProcess], traffic: &Traffic) -> anyhow::Result<Duration> {
        let victims = rows.iter().map(Victim::identify).collect::<Result<Vec<_>, _>>()?;
        let names: Vec<&str> = victims.iter().map(|victim| victim.name.as_str()).collect();
        traffic.acks.mark(clock::now());
        // Not by signal alone: a node that only died would be started again before the pause is over.
        self.cluster.kill(&names).await?;
        for victim in &victims {
            victim.gone(RESTART_PATIENCE).await?;
        }
        tokio::time::sleep(self.hold).await;
        for victim in &victims {
            self.cluster.start(&victim.name).await?;
        }
        let ready = clock::wait_until(RESTART_PATIENCE, async || self.all_ready(&victims).await).await;
        anyhow::ensure!(ready, "not ready {RESTART_PATIENCE:?} after the restart");
        let flows = clock::wait_until(RESTART_PATIENCE, async || traffic.acks.since_mark() > 0).await;
        anyhow::ensure!(flows, "no write was acknowledged {RESTART_PATIENCE:?} after the restart");
        Ok(traffic.acks.longest_silence(clock::now()))
    }

    async fn all_ready(&self, victims: &[Victim]) -> bool {
        match self.cluster.missing_after(Duration::ZERO).await {
            Ok(missing) => !victims.iter().any(|victim| missing.contains(&victim.name)),
            Err(_) => false,
        }
    }

    async fn leader(&self) -> anyhow::Result<ListedProcess> {
        let mut found = None;
        clock::wait_until(RESTART_PATIENCE, async || {
            found = self.cluster.leader(&self.cell).await.ok().flatten();
            found.is_some()
        })
        .await;
        found.with_context(|| format!("cell {} has no leader", self.cell))
    }

    async fn follower(&self) -> anyhow::Result<ListedProcess> {
        let leader = self.leader().await?;
        let nodes = self.cluster.of(Role::Cell, Some(&self.cell)).await?;
        nodes.into_iter().find(|row| row.alive && row.name != leader.name).context("the cell has no follower")
    }

    async fn all(&self, role: Role, cell: Option<&CellId>) -> anyhow::Result<Vec<ListedProcess>> {
        let mut rows = self.cluster.of(role, cell).await?;
        rows.retain(|row| row.alive);
        anyhow::ensure!(!rows.is_empty(), "no {role:?} is running");
        Ok(rows)
    }
}
