//! Accounts, bucket names, cells, placement, stamping, and the CLI.
