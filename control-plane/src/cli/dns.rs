//! `bulkhead dns`: every account's name and its routers, as lines of a zone file.

use super::{CliError, Connection, Output};
use bulkhead_model::api::control_plane::{DnsName, DnsPage};
use std::fmt::Write as _;

pub async fn zone(api: &Connection) -> Result<Output, CliError> {
    let mut page: DnsPage = api.get("/v1/dns").await?;
    let mut names = std::mem::take(&mut page.names);
    while let Some(after) = page.next {
        page = api.get(&format!("/v1/dns?after={after}")).await?;
        names.append(&mut page.names);
    }
    Ok(Output::new(text(&page, &names), &names))
}

fn text(page: &DnsPage, names: &[DnsName]) -> String {
    let mut text = format!("$ORIGIN {}.\n$TTL {}\n", page.zone, page.ttl_seconds);
    for DnsName { account, addresses, .. } in names {
        for address in addresses {
            let kind = if address.is_ipv4() { "A" } else { "AAAA" };
            let _infallible = writeln!(text, "{account} IN {kind} {address}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_line_for_each_of_its_routers() {
        let account = "123456789012".parse().expect("an id");
        let addresses = ["192.0.2.7", "2001:db8::1"].map(|address| address.parse().expect("an address")).to_vec();
        let names = [DnsName { account, name: "123456789012.a.example.org".into(), addresses }];
        let page = DnsPage { zone: "a.example.org".into(), ttl_seconds: 60, names: Vec::new(), next: None };
        let lines = "$ORIGIN a.example.org.\n$TTL 60\n123456789012 IN A 192.0.2.7\n123456789012 IN AAAA 2001:db8::1\n";
        assert_eq!(text(&page, &names), lines);
    }
}
