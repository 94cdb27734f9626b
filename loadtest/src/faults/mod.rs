//! Faults: processes of a local cluster are listed, killed and started again.
//!
//! Only what `bulkhead node list` names is ever touched, and only while it is still that process.

mod cluster;
mod disks;
mod flips;
mod kill;
mod network;
mod power;
mod private;

pub use cluster::{Cluster, ListedProcess, Listener, Role, ShownCell};
pub use disks::{Disks, works_here as disks_work_here};
pub use flips::{Flipped, flip};
pub use kill::{KillError, Victim};
pub use network::{End, Network};
pub use power::Power;
pub use private::{Ground, Maxima, PrivateCluster, binaries};
