//! ListObjects, ListObjectsV2 and ListObjectVersions.

use super::{
    Api, Reply, Request,
    bucket::{token, untoken},
    caller::context,
    convert,
    error::respond,
};
use crate::{
    limits::LIST_KEYS_MAX,
    ops::{Owner, list_object_versions, list_objects},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::{S3Response, S3Result, dto, s3_error};

/// What `encoding-type=url` leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// How keys are written in the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    /// `encoding-type`
    ///
    /// # Errors
    /// `InvalidArgument` for anything but `url`.
    pub fn read(asked: Option<&dto::EncodingType>) -> S3Result<Self> {
        match asked.map(dto::EncodingType::as_str) {
            None => Ok(Self::Plain),
            Some("url") => Ok(Self::Url),
            Some(_) => Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request")),
        }
    }

    /// `text` as it stands in the answer.
    pub fn write(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Url => utf8_percent_encode(text, PLAIN).to_string(),
        }
    }

    /// Common prefixes as they stand in the answer.
    pub fn prefixes(self, prefixes: &[String]) -> Vec<dto::CommonPrefix> {
        prefixes.iter().map(|prefix| dto::CommonPrefix { prefix: Some(self.write(prefix)) }).collect()
    }
}

/// `max-keys` and its like: 0 to [`LIST_KEYS_MAX`], which is also the default; more is cut to it.
///
/// # Errors
/// `InvalidArgument` when it is negative.
pub fn page_size(asked: Option<i32>, name: &str) -> S3Result<usize> {
    let Some(asked) = asked else { return Ok(LIST_KEYS_MAX) };
    let asked = usize::try_from(asked);
    Ok(asked.map_err(|_| s3_error!(InvalidArgument, "Argument {name} must not be negative"))?.min(LIST_KEYS_MAX))
}

/// A page's size as the answer repeats it.
pub fn told(max: usize) -> i32 {
    i32::try_from(max).unwrap_or(i32::MAX)
}

/// An absent and an empty delimiter are the same.
pub fn delimiter(asked: Option<&String>) -> Option<String> {
    asked.filter(|text| !text.is_empty()).cloned()
}

/// A page, and `max-keys=0` as the empty page that it is.
async fn page(
    api: &Api,
    caller: &crate::ops::Caller,
    asked: list_objects::Request,
    versions: bool,
) -> S3Result<list_objects::Response> {
    let empty = asked.max == 0;
    let listed = if versions {
        list_object_versions::run(&api.cell, caller, asked).await
    } else {
        list_objects::run(&api.cell, caller, asked).await
    };
    let mut listed = listed.map_err(respond)?;
    if empty {
        listed.next = None;
    }
    Ok(listed)
}

fn object(entry: &list_objects::Entry, owner: Option<&Owner>, encoding: Encoding) -> dto::Object {
    dto::Object {
        key: Some(encoding.write(&entry.key)),
        last_modified: Some(convert::timestamp(entry.modified)),
        e_tag: Some(convert::etag(&entry.etag)),
        size: i64::try_from(entry.len).ok(),
        storage_class: Some(dto::ObjectStorageClass::from_static(dto::ObjectStorageClass::STANDARD)),
        owner: owner.map(convert::owner),
        checksum_algorithm: entry.checksum.map(|(algorithm, _)| vec![convert::checksum_algorithm(algorithm)]),
        checksum_type: entry.checksum.map(|(_, kind)| dto::ChecksumType::from_static(convert::checksum_kind(kind))),
        restore_status: None,
    }
}

pub async fn list_objects(api: &Api, request: Request<dto::ListObjectsInput>) -> Reply<dto::ListObjectsOutput> {
    let caller = context(&request)?.caller()?;
    let input = request.input;
    let encoding = Encoding::read(input.encoding_type.as_ref())?;
    let max = page_size(input.max_keys, "max-keys")?;
    let asked = list_objects::Request {
        bucket: input.bucket.clone(),
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: delimiter(input.delimiter.as_ref()),
        after: input.marker.clone().filter(|marker| !marker.is_empty()),
        max,
    };
    let folded = asked.delimiter.is_some();
    let listed = page(api, &caller, asked, false).await?;
    Ok(S3Response::new(dto::ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.write(&input.prefix.unwrap_or_default())),
        marker: Some(encoding.write(&input.marker.unwrap_or_default())),
        max_keys: Some(told(max)),
        is_truncated: Some(listed.next.is_some()),
        contents: Some(listed.objects.iter().map(|entry| object(entry, Some(&listed.owner), encoding)).collect()),
        common_prefixes: Some(encoding.prefixes(&listed.prefixes)),
        delimiter: input.delimiter.map(|text| encoding.write(&text)),
        // Without a delimiter the last key is the marker, and S3 leaves it to the client to see that.
        next_marker: listed.next.filter(|_| folded).map(|next| encoding.write(&next)),
        encoding_type: input.encoding_type,
        request_charged: None,
    }))
}

pub async fn list_objects_v2(api: &Api, request: Request<dto::ListObjectsV2Input>) -> Reply<dto::ListObjectsV2Output> {
    let caller = context(&request)?.caller()?;
    let input = request.input;
    let encoding = Encoding::read(input.encoding_type.as_ref())?;
    let max = page_size(input.max_keys, "max-keys")?;
    let start_after = input.start_after.clone().filter(|key| !key.is_empty());
    let asked = list_objects::Request {
        bucket: input.bucket.clone(),
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: delimiter(input.delimiter.as_ref()),
        after: match &input.continuation_token {
            Some(token) => Some(untoken(token)?),
            None => start_after,
        },
        max,
    };
    let listed = page(api, &caller, asked, false).await?;
    let owner = input.fetch_owner.unwrap_or(false).then_some(&listed.owner);
    Ok(S3Response::new(dto::ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encoding.write(&input.prefix.unwrap_or_default())),
        max_keys: Some(told(max)),
        key_count: Some(told(listed.objects.len() + listed.prefixes.len())),
        is_truncated: Some(listed.next.is_some()),
        contents: Some(listed.objects.iter().map(|entry| object(entry, owner, encoding)).collect()),
        common_prefixes: Some(encoding.prefixes(&listed.prefixes)),
        delimiter: input.delimiter.map(|text| encoding.write(&text)),
        continuation_token: input.continuation_token,
        next_continuation_token: listed.next.as_deref().map(token),
        start_after: input.start_after.map(|key| encoding.write(&key)),
        encoding_type: input.encoding_type,
        request_charged: None,
    }))
}

pub async fn list_object_versions(
    api: &Api,
    request: Request<dto::ListObjectVersionsInput>,
) -> Reply<dto::ListObjectVersionsOutput> {
    let caller = context(&request)?.caller()?;
    let input = request.input;
    let key_marker = input.key_marker.clone().filter(|key| !key.is_empty());
    match (&key_marker, input.version_id_marker.as_deref()) {
        (_, None | Some("" | "null")) => {}
        (None, Some(_)) => {
            return Err(s3_error!(InvalidArgument, "A version-id marker cannot be specified without a key marker."));
        }
        (Some(_), Some(_)) => return Err(s3_error!(InvalidArgument, "Invalid version id specified")),
    }
    let encoding = Encoding::read(input.encoding_type.as_ref())?;
    let max = page_size(input.max_keys, "max-keys")?;
    let asked = list_objects::Request {
        bucket: input.bucket.clone(),
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: delimiter(input.delimiter.as_ref()),
        after: key_marker,
        max,
    };
    let listed = page(api, &caller, asked, true).await?;
    let ends_at_a_key = listed.objects.last().is_some_and(|entry| listed.next.as_ref() == Some(&entry.key));
    Ok(S3Response::new(dto::ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.write(&input.prefix.unwrap_or_default())),
        key_marker: Some(encoding.write(&input.key_marker.unwrap_or_default())),
        version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
        max_keys: Some(told(max)),
        is_truncated: Some(listed.next.is_some()),
        versions: Some(listed.objects.iter().map(|entry| version(entry, &listed.owner, encoding)).collect()),
        common_prefixes: Some(encoding.prefixes(&listed.prefixes)),
        delimiter: input.delimiter.map(|text| encoding.write(&text)),
        next_key_marker: listed.next.as_deref().map(|next| encoding.write(next)),
        next_version_id_marker: ends_at_a_key.then(|| "null".to_owned()),
        encoding_type: input.encoding_type,
        delete_markers: None,
        request_charged: None,
    }))
}

/// An object as the only version of its key.
fn version(entry: &list_objects::Entry, owner: &Owner, encoding: Encoding) -> dto::ObjectVersion {
    dto::ObjectVersion {
        key: Some(encoding.write(&entry.key)),
        version_id: Some("null".to_owned()),
        is_latest: Some(true),
        last_modified: Some(convert::timestamp(entry.modified)),
        e_tag: Some(convert::etag(&entry.etag)),
        size: i64::try_from(entry.len).ok(),
        storage_class: Some(dto::ObjectVersionStorageClass::from_static(dto::ObjectVersionStorageClass::STANDARD)),
        owner: Some(convert::owner(owner)),
        checksum_algorithm: entry.checksum.map(|(algorithm, _)| vec![convert::checksum_algorithm(algorithm)]),
        checksum_type: entry.checksum.map(|(_, kind)| dto::ChecksumType::from_static(convert::checksum_kind(kind))),
        restore_status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::record::Etag;
    use bulkhead_model::{AccountId, Timestamp};
    use s3s::xml::{Serialize, Serializer};

    #[test]
    fn url_encoding_leaves_slashes_and_hides_the_rest() {
        assert_eq!(Encoding::Url.write("a/b c+ü\u{1}"), "a/b%20c%2B%C3%BC%01");
        assert_eq!(Encoding::Plain.write("a b"), "a b");
        assert!(Encoding::read(Some(&dto::EncodingType::from_static("base64"))).is_err());
    }

    #[test]
    fn a_page_has_at_most_a_thousand_keys_and_not_fewer_than_none() {
        assert_eq!(page_size(None, "max-keys").expect("default"), LIST_KEYS_MAX);
        assert_eq!(page_size(Some(0), "max-keys").expect("none"), 0);
        assert_eq!(page_size(Some(5_000), "max-keys").expect("cut"), LIST_KEYS_MAX);
        assert!(page_size(Some(-1), "max-keys").is_err());
    }

    #[test]
    fn a_listed_object_is_written_as_s3_writes_it() {
        let owner =
            Owner { account: AccountId::new(AccountId::FIRST).expect("in range"), display_name: "me".to_owned() };
        let entry = list_objects::Entry {
            key: "a&b".to_owned(),
            len: 5,
            etag: Etag { md5: [0xab; 16], parts: None },
            modified: Timestamp(784_111_777_123),
            checksum: None,
        };
        let output = dto::ListObjectsV2Output {
            name: Some("bucket".to_owned()),
            is_truncated: Some(false),
            contents: Some(vec![object(&entry, Some(&owner), Encoding::Plain)]),
            ..dto::ListObjectsV2Output::default()
        };
        let mut xml = Vec::new();
        output.serialize(&mut Serializer::new(&mut xml)).expect("memory");
        let xml = String::from_utf8(xml).expect("UTF-8");
        for part in [
            "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
            "<Key>a&amp;b</Key>",
            "<LastModified>1994-11-06T08:49:37.123Z</LastModified>",
            "<ETag>\"abababababababababababababababab\"</ETag>",
            "<Size>5</Size>",
            "<StorageClass>STANDARD</StorageClass>",
            "<IsTruncated>false</IsTruncated>",
        ] {
            assert!(xml.contains(part), "{part} is not in {xml}");
        }
    }
}
