//! Noncurrent versions of objects. Empty: buckets are not versioned, but the family's index is taken.

use bulkhead_replica::Family;

/// Family `versions`.
pub const FAMILY: Family = Family { index: 4, name: "versions", large_values: false };
