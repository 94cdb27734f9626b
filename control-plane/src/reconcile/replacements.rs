//! A node takes another's place: one look, one step, each written down, so that whoever leads next goes on from there.

use super::cells::{CellKeeper, StepError};
use crate::{
    domain::replacement::{Action, Seen},
    provision::local::Local,
    store::{command::Command, record::Cell},
};
use bulkhead_model::{
    CellId, NodeId,
    api::{
        cell::{Member, NodeStatus, Voters},
        control_plane::{CellNode, Replacement},
    },
};
use futures::future::join_all;
use std::collections::BTreeSet;

impl CellKeeper {
    /// Takes one step with a replacement. `taken` are the ports of the fleet.
    pub(super) async fn replace(
        &self,
        id: &CellId,
        cell: &Cell,
        replacement: &Replacement,
        taken: &BTreeSet<u16>,
    ) -> Result<(), StepError> {
        let Some(new) = &replacement.planned else { return self.plan_replacement(id, cell, replacement, taken).await };
        self.local.prepare_one(id, cell, new)?;
        self.keep_node_running(id, &cell.state, new)?;

        let old = cell.nodes.iter().find(|node| node.node == replacement.old);
        let stays = |node: &&CellNode| node.node != replacement.old && node.node != new.node;
        let stay: Vec<&CellNode> = cell.nodes.iter().filter(stays).chain([new]).collect();
        let asked = stay.iter().map(|node| async { (node.node, self.ask(id, node).await) });
        let (nodes, old_says) = futures::future::join(join_all(asked), async {
            match old {
                Some(old) => self.ask(id, old).await,
                None => None,
            }
        })
        .await;
        let old_runs = self.local.is_running(&Local::process_name(id, replacement.old))?;
        let (old, step) = (replacement.old, replacement.step);
        let seen = Seen { old, new, step, old_runs, nodes: &nodes, old_says: old_says.as_ref() };
        self.act(id, cell, replacement, new, seen.decide()).await
    }

    async fn plan_replacement(
        &self,
        id: &CellId,
        cell: &Cell,
        replacement: &Replacement,
        taken: &BTreeSet<u16>,
    ) -> Result<(), StepError> {
        if let Some(old) = cell.nodes.iter().find(|node| node.node == replacement.old) {
            let node = self.local.plan_one(replacement.new, old, taken)?;
            self.directory.propose(Command::PlanReplacement { cell: id.clone(), node }).await?;
        }
        Ok(())
    }

    async fn act(
        &self,
        id: &CellId,
        cell: &Cell,
        replacement: &Replacement,
        new: &CellNode,
        action: Action,
    ) -> Result<(), StepError> {
        let admin_of = |node: NodeId| {
            cell.nodes.iter().chain([new]).find(|known| known.node == node).map_or(new.admin, |known| known.admin)
        };
        tracing::debug!(cell = %id, old = %replacement.old, new = %new.node, ?action, "a node is being replaced");
        match action {
            Action::Wait(_) => {}
            Action::Add { leader } => {
                let member = Member { node: new.node, az: new.az.clone(), peer: new.peer };
                self.cells.add_member(id, admin_of(leader), &member).await?;
            }
            Action::SetVoters { leader, voters } => {
                self.cells.set_voters(id, admin_of(leader), &Voters { voters }).await?;
            }
            Action::StopOld => self.local.retire(id, replacement.old, &self.env.clock).await?,
            Action::Move(to) => {
                tracing::info!(cell = %id, old = %replacement.old, new = %new.node, ?to, "a replacement moves on");
                self.directory.propose(Command::MoveReplacement { cell: id.clone(), node: new.node, to }).await?;
            }
            Action::Finish => {
                self.local.forget(id, replacement.old)?;
                tracing::info!(cell = %id, old = %replacement.old, new = %new.node, "a node is replaced");
                self.directory.propose(Command::FinishReplacement { cell: id.clone(), node: new.node }).await?;
            }
        }
        Ok(())
    }

    /// What a node says, if it is the one that is asked.
    async fn ask(&self, id: &CellId, node: &CellNode) -> Option<NodeStatus> {
        let status = self.cells.status(id, node.admin).await.ok()?;
        (status.cell == *id && status.node == node.node).then_some(status)
    }
}
