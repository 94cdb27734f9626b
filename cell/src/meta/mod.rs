//! The index: a state machine on `bulkhead-replica`. Knows keys, commands and `apply`; knows neither HTTP nor chunks.

pub mod command;
pub mod record;
