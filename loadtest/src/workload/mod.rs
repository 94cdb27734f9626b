//! What is written and read back: content that anyone who knows the key and the version can check.

pub mod content;

pub use content::Content;
