//! `/v1/dns`: the names of accounts and the routers they lead to, for whatever serves the zone.

use super::{Api, error::Failure};
use crate::{limits::DNS_NAMES_PER_ANSWER, store::read};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use bulkhead_model::{
    AccountId,
    api::control_plane::{DnsName, DnsPage},
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct After {
    after: Option<AccountId>,
}

pub async fn list(
    State(api): State<Api>,
    query: Result<Query<After>, QueryRejection>,
) -> Result<Json<DnsPage>, Failure> {
    let Query(After { after }) = query.map_err(Failure::invalid)?;
    let Some(dns) = &api.dns else {
        return Err(Failure::not_found("no names are published: the control plane's configuration has no [dns]"));
    };
    let accounts = read::accounts_after(&api.directory.view().await?, after, DNS_NAMES_PER_ANSWER)?;
    let next = accounts.last().copied().filter(|_| accounts.len() == DNS_NAMES_PER_ANSWER);
    let name = |account| DnsName { account, name: dns.name(account), addresses: dns.addresses(account) };
    let names = accounts.into_iter().map(name).collect();
    Ok(Json(DnsPage { zone: dns.zone.clone(), ttl_seconds: dns.ttl_seconds, names, next }))
}
