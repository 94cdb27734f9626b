//! The envelope as version 1 had it. Frozen.

use super::Command;
use crate::store::format::V1;
use bulkhead_model::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub time: Timestamp,
    pub command: Command,
}

impl From<Envelope> for super::Envelope {
    fn from(first: Envelope) -> Self {
        Self { time: first.time, command: first.command, who: None }
    }
}

impl super::Envelope {
    /// As version 1 has it, when that holds all of it.
    pub(in crate::store) fn first_form(&self) -> Option<Envelope> {
        let fits = self.who.is_none() && self.command.version() == V1;
        fits.then(|| Envelope { time: self.time, command: self.command.clone() })
    }
}
