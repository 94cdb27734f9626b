//! Phases in which something of the cell ends or limps, under the declared load.

use super::{
    judge,
    loads::TENANTS,
    record::{Event, PhaseTrace},
    run::{Run, sound},
    subject::Node,
};
use crate::{
    client::{Condition, Outcome, PayloadHash, Put, Session, Target},
    clock,
    limits::{PROBE_EVERY, PROBE_PATIENCE, PROBE_TIMEOUT},
    load::Phase as Stretch,
    workload::Content,
};
use anyhow::Context as _;
use bulkhead_model::{
    api::drill::Fault,
    certificate::{Criterion, Threshold},
    certification::{Phase, Profile},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Requests are under way when something ends.
const INTO_THE_LOAD: Duration = Duration::from_millis(200);
/// What is lost with a node that does not lead takes no longer to find out. The leader's end takes an election.
const TAKEOVER: Duration = Duration::from_millis(300);
/// The longest a slow disk takes for a flush.
const SLOW_FLUSH: Duration = Duration::from_millis(100);
/// A node must be back this soon.
const REJOIN_MS_MAX: u64 = 60_000;

/// An AZ ends: the nodes in it, at once. In a quick run one without the leader, whose end is a phase of its own; in a full one the leader's.
pub async fn az_loss(run: &mut Run<'_>, trace: &mut PhaseTrace) -> anyhow::Result<()> {
    let leader = run.subject.leader().await?;
    let with_leader = run.profile == Profile::Full;
    let az =
        run.subject.nodes.iter().find(|node| (node.az == leader.az) == with_leader).context("a cell has three AZs")?;
    let lost: Vec<Node> = run.subject.nodes.iter().filter(|node| node.az == az.az).cloned().collect();
    let takeover =
        if with_leader { Duration::from_millis(run.subject.blueprint.certification.failover_gap_ms) } else { TAKEOVER };
    let scale = run.scale(run.declared());
    let stretches = [
        Stretch::new("az_loss_takeover", INTO_THE_LOAD + takeover, scale),
        Stretch::new("az_loss", run.lasts(Phase::AzLoss), scale),
    ];
    let began = run.now_ms();
    let (subject, view, engine) = (run.subject, &mut run.view, &run.main);
    let loading = engine.run(&stretches, |progress| view.tick(progress));
    let (report, killed) = tokio::join!(loading, async {
        tokio::time::sleep(INTO_THE_LOAD).await;
        for node in &lost {
            subject.fault(node, &Fault::Kill).await?;
        }
        anyhow::Ok(clock::now())
    });
    let (report, killed) = (report?, killed?);
    trace.events.push(Event { at_ms: since(run, killed), what: format!("AZ {} is gone", az.az) });
    trace.take(&report, began, |_| true);
    let [takeover, without] = report.phases.as_slice() else { anyhow::bail!("two stretches were asked for") };
    trace.figures = judge::figures(without, TENANTS);
    trace.figures.insert("failed_in_takeover".into(), judge::failed_in(takeover));
    let blueprint = &run.subject.blueprint;
    let percent = blueprint.certification.degraded_percent;
    trace.criteria.extend(judge::objectives(blueprint, Phase::AzLoss, &trace.figures, percent));
    trace.criteria.push(judge::nothing_failed(Phase::AzLoss, &trace.figures));
    sound(trace, &report);

    let rejoining = clock::now();
    for node in &lost {
        run.subject.rejoin(node).await?;
    }
    let took = u64::try_from((clock::now() - rejoining).as_millis()).unwrap_or(u64::MAX);
    run.event(trace, format!("AZ {} is back", az.az));
    trace.figures.insert("rejoin_ms".into(), took);
    trace.criteria.push(Criterion::new(Phase::AzLoss, "rejoin_ms", took, Threshold::AtMost(REJOIN_MS_MAX)));
    Ok(())
}

/// Leaders end, one after the other. Writes go on after an election.
pub async fn failover(run: &mut Run<'_>, trace: &mut PhaseTrace) -> anyhow::Result<()> {
    let account = run.subject.account("failover").await?;
    let lasts = Duration::from_millis(run.course.failover_ms);
    let (mut longest, mut wrong) = (0, 0);
    for _ in 0..run.course.failovers {
        let leader = run.subject.leader().await?;
        let stretch = Stretch::new(trace.phase.name(), lasts, run.scale(run.declared()));
        let began = run.now_ms();
        let (subject, view, engine) = (run.subject, &mut run.view, &run.main);
        let stretches = [stretch];
        let loading = engine.run(&stretches, |progress| view.tick(progress));
        let (report, gap) = tokio::join!(loading, async {
            tokio::time::sleep(INTO_THE_LOAD).await;
            subject.fault(&leader, &Fault::Kill).await?;
            let killed = clock::now();
            anyhow::Ok((killed, write_gap(&account.target, &account.bucket, killed, lasts).await))
        });
        let (report, (killed, gap)) = (report?, gap?);
        trace.events.push(Event { at_ms: since(run, killed), what: format!("leader {} is killed", leader.id) });
        trace.take(&report, began, |_| true);
        wrong += judge::wrong(&report);
        if trace.figures.is_empty() {
            trace.figures = judge::figures(report.phases.first().context("a stretch was asked for")?, TENANTS);
        }
        longest = longest.max(u64::try_from(gap.as_millis()).unwrap_or(u64::MAX));
        run.subject.rejoin(&leader).await?;
        run.event(trace, format!("node {} is back", leader.id));
    }
    let most = run.subject.blueprint.certification.failover_gap_ms;
    trace.figures.insert("write_gap_ms".into(), longest);
    trace.criteria.push(Criterion::new(Phase::Failover, "write_gap_ms", longest, Threshold::AtMost(most)));
    trace.criteria.push(judge::nothing_wrong(Phase::Failover, wrong));
    Ok(())
}

/// The longest time between two writes that were acknowledged, from `killed` on, for as long as said and until one was.
async fn write_gap(target: &Arc<Target>, bucket: &str, killed: Instant, lasts: Duration) -> Duration {
    let (end, patience) = (killed + lasts, killed + PROBE_PATIENCE);
    let (mut last, mut longest, mut version) = (killed, Duration::ZERO, 0_u64);
    let mut session = Session::new(target.clone(), PayloadHash::Unsigned).with_timeout(PROBE_TIMEOUT);
    loop {
        version += 1;
        let content = Content::of("probe", version, 64);
        let put = Put { bucket, key: "probe", version, content, condition: Condition::Always };
        let acknowledged = matches!(session.put(&put).await, Outcome::Ok(_));
        let now = clock::now();
        if acknowledged {
            longest = longest.max(now - last);
            last = now;
        }
        let waiting = now - last;
        if (now >= end && acknowledged) || now >= patience {
            return longest.max(waiting);
        }
        tokio::time::sleep(PROBE_EVERY).await;
    }
}

/// One node's flushes take long: in a quick run those of a node that does not lead, in a full one the leader's.
pub async fn slow_disk(run: &mut Run<'_>, trace: &mut PhaseTrace) -> anyhow::Result<()> {
    let leader = run.subject.leader().await?;
    let leads = run.profile == Profile::Full;
    let slow =
        run.subject.nodes.iter().find(|node| (node.id == leader.id) == leads).context("a cell has nodes")?.clone();
    let ms = u64::try_from(SLOW_FLUSH.as_millis()).unwrap_or(u64::MAX);
    run.subject.fault(&slow, &Fault::SlowDisk { ms }).await?;
    run.event(trace, format!("every flush of node {} takes {ms} ms longer", slow.id));
    let loaded = run.load(trace, run.declared(), run.lasts(Phase::SlowDisk)).await;
    run.subject.fault(&slow, &Fault::Mend).await?;
    run.event(trace, format!("node {} flushes as before", slow.id));
    let report = loaded?;
    trace.figures = judge::figures(report.phases.first().context("a stretch was asked for")?, TENANTS);
    let blueprint = &run.subject.blueprint;
    let percent = blueprint.certification.degraded_percent;
    trace.criteria.extend(judge::objectives(blueprint, Phase::SlowDisk, &trace.figures, percent));
    trace.criteria.push(judge::nothing_failed(Phase::SlowDisk, &trace.figures));
    sound(trace, &report);
    Ok(())
}

fn since(run: &Run<'_>, moment: Instant) -> u64 {
    u64::try_from(moment.saturating_duration_since(run.began).as_millis()).unwrap_or(u64::MAX)
}
