//! The `[dns]` table of the configuration: which routers there are and under which names they are published.
//!
//! Each account has a name of its own, `ACCOUNT.zone`, that leads to its hand of routers and to no other
//! ([`bulkhead_model::hand`]): what takes down the routers of one account leaves hardly any other without.

use bulkhead_model::{AccountId, hand};
use serde::Deserialize;
use std::{collections::BTreeSet, net::IpAddr};

/// What is published.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsConfig {
    /// Where the names lie. Not below a domain of the routers' `domains`: there a name is a bucket's.
    pub zone: String,
    /// Routers of one account.
    #[serde(default = "hand")]
    pub hand: usize,
    /// For how long a resolver may keep an answer.
    #[serde(default = "ttl_seconds")]
    pub ttl_seconds: u32,
    pub routers: Vec<PublishedRouter>,
}

/// A router as tenants reach it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedRouter {
    /// Hands are dealt by it: it stays the same when the address changes.
    pub name: String,
    pub address: IpAddr,
}

impl AsRef<str> for PublishedRouter {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

fn hand() -> usize {
    2
}

fn ttl_seconds() -> u32 {
    60
}

impl DnsConfig {
    /// What is wrong with it, if anything is.
    ///
    /// # Errors
    /// Names the setting, what it says and what it may say.
    pub fn validate(&self) -> Result<(), String> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        // 13 characters go before it: an account's number and a dot.
        if self.zone.len() > 240 || !self.zone.split('.').all(label) {
            let zone = &self.zone;
            return Err(format!("dns.zone is {zone:?}, but must be labels of a-z, 0-9 and '-' with dots between them"));
        }
        let (routers, hand) = (self.routers.len(), self.hand);
        if !(1..=routers).contains(&hand) {
            return Err(format!("dns.hand is {hand}, but must be from 1 to {routers}, the number of dns.routers"));
        }
        let names: BTreeSet<&str> = self.routers.iter().map(AsRef::as_ref).collect();
        if names.len() != routers {
            return Err(format!("dns.routers names {routers} routers but only {} different ones", names.len()));
        }
        let families: BTreeSet<bool> = self.routers.iter().map(|router| router.address.is_ipv4()).collect();
        if families.len() != 1 {
            return Err(
                "dns.routers mixes IPv4 and IPv6, but a hand must be reachable as a whole: use one of them".into()
            );
        }
        Ok(())
    }

    /// The name of an account.
    pub fn name(&self, account: AccountId) -> String {
        format!("{account}.{}", self.zone)
    }

    /// Where it leads, the preferred one first.
    pub fn addresses(&self, account: AccountId) -> Vec<IpAddr> {
        hand::routers_of(account, &self.routers, self.hand).into_iter().map(|router| router.address).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DnsConfig, String> {
        let config: DnsConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.validate().map(|()| config)
    }

    fn routers(addresses: &[&str]) -> String {
        let row = |(n, address): (usize, &&str)| {
            format!("[[routers]]\nname = \"router-{}\"\naddress = \"{address}\"\n", n + 1)
        };
        addresses.iter().enumerate().map(row).collect()
    }

    #[test]
    fn an_account_s_name_leads_to_its_hand() {
        let three = routers(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        let config = parse(&format!("zone = \"a.example.org\"\n{three}")).expect("valid");
        let account = AccountId::new(AccountId::FIRST).expect("in range");
        assert_eq!(config.name(account), format!("{account}.a.example.org"));
        let dealt = hand::routers_of(account, &["router-1", "router-2", "router-3"], 2);
        let expected: Vec<IpAddr> =
            dealt.iter().map(|name| name.replace("router-", "192.0.2.").parse().expect("an address")).collect();
        assert_eq!(config.addresses(account), expected);
        assert_eq!(expected.len(), 2);
    }

    #[test]
    fn what_cannot_be_published_is_refused_with_the_reason() {
        let two = routers(&["192.0.2.1", "192.0.2.2"]);
        for (text, why) in [
            (format!("zone = \"A.example\"\n{two}"), "dns.zone is \"A.example\""),
            (format!("zone = \"\"\n{two}"), "dns.zone is \"\""),
            (format!("zone = \"a.example\"\nhand = 3\n{two}"), "dns.hand is 3, but must be from 1 to 2"),
            (format!("zone = \"a.example\"\nhand = 0\n{two}"), "dns.hand is 0"),
            (format!("zone = \"a.example\"\n{}", two.replace("router-2", "router-1")), "only 1 different"),
            (format!("zone = \"a.example\"\n{}", two.replace("192.0.2.2", "2001:db8::2")), "mixes IPv4 and IPv6"),
        ] {
            let refused = parse(&text).expect_err("refused");
            assert!(refused.contains(why), "{refused}");
        }
    }
}
