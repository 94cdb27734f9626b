//! Provisioners: what turns a recorded cell into running nodes. Today there is one, for this machine.

pub mod local;
