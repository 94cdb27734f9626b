//! Which bucket a `Host` header names: `bucket.domain` for one of our domains, none for anything else.

use s3s::{
    S3Result,
    host::{S3Host, VirtualHost},
};

/// The domains under which buckets are hosts. A host that is none of them is addressed by path.
#[derive(Debug, Clone, Default)]
pub struct Domains(Vec<String>);

impl Domains {
    /// Domains without port, in any case.
    pub fn new(domains: &[String]) -> Self {
        Self(domains.iter().map(|domain| domain.trim_matches('.').to_ascii_lowercase()).collect())
    }

    /// The bucket that `host` names, in lower case.
    pub fn bucket(&self, host: &str) -> Option<String> {
        let host = without_port(host).trim_end_matches('.').to_ascii_lowercase();
        let bucket = self.0.iter().find_map(|domain| host.strip_suffix(domain.as_str())?.strip_suffix('.'))?;
        (!bucket.is_empty()).then(|| bucket.to_owned())
    }
}

impl S3Host for Domains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let virtual_host = VirtualHost::new(host);
        Ok(match self.bucket(host) {
            Some(bucket) => virtual_host.with_bucket(bucket),
            None => virtual_host,
        })
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_label_in_front_of_a_domain_is_a_bucket() {
        let domains = Domains::new(&["s3.example.com".to_owned(), "LocalHost".to_owned()]);
        for (host, bucket) in [
            ("s3.example.com", None),
            ("photos.s3.example.com", Some("photos")),
            ("my.photos.s3.example.com:9000", Some("my.photos")),
            ("Photos.LOCALHOST:9000", Some("photos")),
            ("localhost:9000", None),
            (".localhost", None),
            ("xlocalhost", None),
            ("photos.elsewhere.com", None),
            ("127.0.0.1:9000", None),
            ("[::1]:9000", None),
        ] {
            assert_eq!(domains.bucket(host).as_deref(), bucket, "{host}");
        }
    }
}
