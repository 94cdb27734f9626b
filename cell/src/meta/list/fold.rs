//! Folding keys into common prefixes. Pure.

/// What a page shows of the keys, and how it folds them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fold<'q> {
    pub prefix: &'q str,
    pub delimiter: Option<&'q str>,
}

impl<'q> Fold<'q> {
    /// An empty delimiter is none, as in S3.
    pub fn new(prefix: &'q str, delimiter: Option<&'q str>) -> Self {
        Self { prefix, delimiter: delimiter.filter(|delimiter| !delimiter.is_empty()) }
    }

    /// The length of the common prefix that `key` folds into: up to and with the first delimiter behind the prefix. `key`
    /// begins with the prefix.
    pub fn common(&self, key: &[u8]) -> Option<usize> {
        let delimiter = self.delimiter?.as_bytes();
        let rest = key.get(self.prefix.len()..)?;
        let at = match delimiter {
            [byte] => rest.iter().position(|b| b == byte)?,
            longer => rest.windows(longer.len()).position(|window| window == longer)?,
        };
        Some(self.prefix.len() + at + delimiter.len())
    }

    /// Whether `marker` is itself a common prefix, as a page gives it as its `next`: all it folds has been shown.
    pub fn is_common(&self, marker: &str) -> bool {
        marker.starts_with(self.prefix) && self.common(marker.as_bytes()) == Some(marker.len())
    }
}
