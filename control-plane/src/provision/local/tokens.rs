//! Where the cells' admin tokens are.

use bulkhead_model::CellId;
use bulkhead_service::{
    auth::Token,
    config::{self, ConfigError},
};
use std::path::PathBuf;

/// Reads tokens that [`super::files::write_cell`] wrote.
#[derive(Debug, Clone)]
pub struct Tokens {
    cells: PathBuf,
}

impl Tokens {
    /// `cells` holds a directory for each cell.
    pub fn new(cells: PathBuf) -> Self {
        Self { cells }
    }

    /// What a cell's admin API asks for.
    ///
    /// # Errors
    /// When the cell was not provisioned here.
    pub fn admin_of(&self, cell: &CellId) -> Result<Token, ConfigError> {
        config::read_token(&self.cells.join(cell.as_str()).join("admin.token"))
    }
}
