//! Listings against a naive reference.
