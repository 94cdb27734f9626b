//! Groups whose members change: nodes replaced under load, nodes wiped, nodes of another build.

#[allow(dead_code, reason = "other tests use more of it")]
#[path = "../cluster/mod.rs"]
mod cluster;
mod hung;
mod replacing;
mod versions;
