//! The calls against a whole cell: three nodes in one process, each with its replica, its chunks and its peer server, and a stand-in
//! for the control plane that hands out bucket names.

mod buckets;
mod faults;
mod harness;
mod jobs;
mod listings;
mod multipart;
mod objects;
