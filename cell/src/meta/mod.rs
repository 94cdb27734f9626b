//! The index: a state machine on `bulkhead-replica`. Knows keys, commands and `apply`; knows neither HTTP nor chunks.

pub mod apply;
pub mod bookkeeping;
pub mod bytes;
pub mod command;
pub mod epochs;
pub mod format;
pub mod index;
pub mod keys;
pub mod list;
pub mod record;
pub mod seal;
pub mod ticks;
pub mod view;

#[cfg(test)]
mod golden;
