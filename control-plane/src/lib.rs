//! Accounts, bucket names, cells, placement, stamping, and the CLI.
//!
//! The control plane decides where things live and is on no data path: with all of it gone, object traffic goes on. It must not
//! know object data, and never keeps a secret.

pub mod api;
pub mod caller;
pub mod cells;
pub mod certification;
pub mod cli;
pub mod config;
pub mod dev;
pub mod dns;
pub mod domain;
pub mod limits;
pub mod node;
pub mod provision;
pub mod publish;
pub mod reconcile;
pub mod s3;
pub mod store;

#[cfg(test)]
mod testing;
