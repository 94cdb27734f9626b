//! Faults: processes of a local cluster are listed, killed and started again.
//!
//! Only what `bulkhead node list` names is ever touched, and only while it is still that process.

mod cluster;
mod kill;
mod network;
mod power;
mod private;

pub use cluster::{Cluster, ListedProcess, Role, http_get};
pub use kill::{KillError, Victim};
pub use network::{End, Network};
pub use power::Power;
pub use private::{Ground, PrivateCluster, binaries};
