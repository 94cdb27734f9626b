//! Connections by source address: no single one may take a listener from all others.
//!
//! An IPv6 client has a whole network of addresses, so those count by their first 64 bits.

use parking_lot::Mutex;
use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// The connections of each source. It knows no more sources than there are connections.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most: usize,
}

/// One connection of a source, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    source: IpAddr,
    sources: Sources,
}

impl Sources {
    /// At most `most` connections each.
    pub(super) fn new(most: usize) -> Self {
        Self { open: Arc::default(), most }
    }

    /// Takes a place for a connection, if its source has one left.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place> {
        let source = network(address);
        let mut open = self.open.lock();
        let count = open.entry(source).or_default();
        let allowed = *count < self.most;
        *count += usize::from(allowed);
        if *count == 0 {
            open.remove(&source);
        }
        allowed.then(|| Place { source, sources: self.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.sources.open.lock().entry(self.source) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_source_has_its_share_and_no_more_whatever_others_do() {
        let sources = Sources::new(2);
        let held: Vec<_> = (0..5).filter_map(|_| sources.enter(ip("10.0.0.1"))).collect();
        assert_eq!(held.len(), 2);
        let other = sources.enter(ip("10.0.0.2"));
        assert!(other.is_some());
        drop(held);
        assert!(sources.enter(ip("10.0.0.1")).is_some());
        drop(other);
        assert!(sources.open.lock().is_empty(), "what has no connection is forgotten");
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_a_mapped_address_is_its_ipv4() {
        let sources = Sources::new(1);
        let _held = (sources.enter(ip("2001:db8::1")), sources.enter(ip("::ffff:10.0.0.1")));
        assert!(sources.enter(ip("2001:db8::ffff:2")).is_none());
        assert!(sources.enter(ip("2001:db8:0:1::1")).is_some());
        assert!(sources.enter(ip("10.0.0.1")).is_none());
    }
}
