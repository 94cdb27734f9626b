//! Listings (version 2).

use super::{
    call::Call,
    outcome::{Lost, Outcome},
    session::Session,
};
use crate::limits::ANSWER_BYTES_MAX;
use http::Method;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ListQuery<'a> {
    pub bucket: &'a str,
    pub prefix: &'a str,
    pub delimiter: Option<&'a str>,
    /// Keys per page, at most 1,000; the server's default when `None`.
    pub max_keys: Option<u32>,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    pub key: String,
    pub size: u64,
    pub etag: String,
}

/// One page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub objects: Vec<ListedObject>,
    pub prefixes: Vec<String>,
    /// Where the next page goes on; `None` on the last one.
    pub next: Option<String>,
}

/// All pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    pub objects: Vec<ListedObject>,
    pub prefixes: Vec<String>,
    pub pages: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    #[serde(default)]
    contents: Vec<Contents>,
    #[serde(default)]
    common_prefixes: Vec<CommonPrefix>,
    is_truncated: bool,
    next_continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Contents {
    key: String,
    size: u64,
    #[serde(rename = "ETag")]
    etag: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CommonPrefix {
    prefix: String,
}

impl Session {
    /// One page, after the page that gave `token`.
    pub async fn list_page(&mut self, query: &ListQuery<'_>, token: Option<&str>) -> Outcome<Page> {
        let mut call = Call::new(Method::GET, query.bucket, "");
        if let Some(token) = token {
            call = call.query("continuation-token", token);
        }
        if let Some(delimiter) = query.delimiter {
            call = call.query("delimiter", delimiter);
        }
        call = call.query("encoding-type", "url").query("list-type", "2");
        if let Some(max_keys) = query.max_keys {
            call = call.query("max-keys", max_keys.to_string());
        }
        call = call.query("prefix", query.prefix);
        self.call(call)
            .await
            .and_then(async |answer| answer.read(ANSWER_BYTES_MAX).await)
            .await
            .and_then(async |body| parse(&body))
            .await
    }

    /// All pages, one after the other.
    pub async fn list(&mut self, query: &ListQuery<'_>) -> Outcome<Listed> {
        let mut listed = Listed::default();
        let mut token = None;
        loop {
            match self.list_page(query, token.as_deref()).await {
                Outcome::Ok(page) => {
                    listed.objects.extend(page.objects);
                    listed.prefixes.extend(page.prefixes);
                    listed.pages += 1;
                    token = page.next;
                }
                Outcome::Refused(refusal) => return Outcome::Refused(refusal),
                Outcome::Unsent(why) => return Outcome::Unsent(why),
                Outcome::Unknown(lost) => return Outcome::Unknown(lost),
            }
            if token.is_none() {
                return Outcome::Ok(listed);
            }
        }
    }
}

fn parse(body: &[u8]) -> Outcome<Page> {
    let text = String::from_utf8_lossy(body);
    match quick_xml::de::from_str::<Document>(&text) {
        Err(error) => Outcome::Unknown(Lost::Malformed(format!("a listing that cannot be parsed: {error}"))),
        Ok(document) if document.is_truncated && document.next_continuation_token.is_none() => {
            Outcome::Unknown(Lost::Malformed("a truncated listing without a continuation token".into()))
        }
        Ok(document) => Outcome::Ok(Page {
            objects: document
                .contents
                .into_iter()
                .map(|object| ListedObject { key: decode(&object.key), size: object.size, etag: object.etag })
                .collect(),
            prefixes: document.common_prefixes.iter().map(|common| decode(&common.prefix)).collect(),
            next: document.next_continuation_token.filter(|_| document.is_truncated),
        }),
    }
}

/// Undoes `encoding-type=url`, which also writes a space as `+`.
fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_with_objects_and_prefixes_is_read() {
        let body =
            br#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>
            <IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>
            <Contents><Key>a%2Fb+c</Key><Size>3</Size><ETag>&quot;e&quot;</ETag></Contents>
            <CommonPrefixes><Prefix>p%2F</Prefix></CommonPrefixes></ListBucketResult>"#;
        let page = parse(body).required("parse").expect("well formed");
        assert_eq!(page.objects, [ListedObject { key: "a/b c".into(), size: 3, etag: "\"e\"".into() }]);
        assert_eq!((page.prefixes, page.next), (vec!["p/".to_owned()], Some("t".to_owned())));
    }

    #[test]
    fn a_truncated_page_without_a_token_is_malformed_and_not_the_last() {
        let body = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
        assert!(matches!(parse(body), Outcome::Unknown(Lost::Malformed(_))));
    }
}
