//! What a request's headers state about its body: framing, length, digests, checksum. Pure.

use super::{
    body::TrailerCell,
    sigv4::{Authorization, ChunkSigner},
};
use crate::{
    meta::record::ChecksumAlgorithm,
    ops::{
        OpError,
        body::{Body, BodyStream, ChecksumValue, Stated as OpsStated, StatedChecksum},
        checksum::{self, Hasher},
        error::Digest,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::HeaderMap;
use md5::{Digest as _, Md5};
use s3s::{S3Error, S3Result, s3_error};
use sha2::Sha256;

/// All checksum algorithms, with the header (or trailer) that carries a value.
pub const CHECKSUMS: [(ChecksumAlgorithm, &str); 5] = [
    (ChecksumAlgorithm::Crc32, "x-amz-checksum-crc32"),
    (ChecksumAlgorithm::Crc32c, "x-amz-checksum-crc32c"),
    (ChecksumAlgorithm::Crc64Nvme, "x-amz-checksum-crc64nvme"),
    (ChecksumAlgorithm::Sha1, "x-amz-checksum-sha1"),
    (ChecksumAlgorithm::Sha256, "x-amz-checksum-sha256"),
];

/// How the body is framed inside HTTP, as `x-amz-content-sha256` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    Plain,
    /// `aws-chunked`, signed by the request's signature alone.
    Unsigned,
    /// `aws-chunked` with a signature on each chunk.
    Signed(Box<Signed>),
}

/// Where the chain of chunk signatures begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    authorization: Authorization,
    /// `x-amz-date`
    date: String,
    /// Whether the trailer is signed too.
    pub trailer: bool,
}

impl Signed {
    /// Verifies the chunks, given the secret that signed the request.
    pub fn signer(&self, secret: &str) -> ChunkSigner {
        ChunkSigner::new(secret, &self.authorization.scope, &self.date, &self.authorization.signature)
    }
}

/// Where the headers put a checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Nowhere,
    Header(Vec<u8>),
    Trailer(&'static str),
}

/// What the headers state about the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    pub framing: Framing,
    /// Bytes after decoding.
    pub len: Option<u64>,
    md5: Option<[u8; 16]>,
    sha256: Option<[u8; 32]>,
    checksum: Option<(ChecksumAlgorithm, Place)>,
}

impl Stated {
    /// Reads the headers.
    ///
    /// # Errors
    /// When one is malformed, or two contradict each other.
    pub fn read(headers: &HeaderMap) -> S3Result<Self> {
        let content = text(headers, "x-amz-content-sha256")?;
        let framing = framing(headers, content)?;
        let chunked = framing != Framing::Plain;
        let len_name = if chunked { "x-amz-decoded-content-length" } else { "content-length" };
        let len = match text(headers, len_name)? {
            None => None,
            Some(len) => Some(len.parse().map_err(|_| invalid(len_name))?),
        };
        let md5 = match text(headers, "content-md5")? {
            None => None,
            Some(value) => Some(
                decode(value)
                    .and_then(|bytes| bytes.try_into().ok())
                    .ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."))?,
            ),
        };
        let mut sha256 = [0; 32];
        let sha256 = content.filter(|hex| hex::decode_to_slice(hex, &mut sha256).is_ok()).map(|_| sha256);
        let checksum = stated_checksum(headers, chunked)?;
        Ok(Self { framing, len, md5, sha256, checksum })
    }

    /// With CRC64NVME to be computed and stored when nothing is stated, as S3 does. It costs a fiftieth of the MD5 that every
    /// ETag needs (14 GB/s against 0.2 GB/s here).
    pub fn with_default_checksum(mut self) -> Self {
        self.checksum.get_or_insert((ChecksumAlgorithm::Crc64Nvme, Place::Nowhere));
        self
    }

    /// Whether the headers state anything by which the body can be verified end to end, apart from its signature.
    pub fn has_digest(&self) -> bool {
        self.md5.is_some() || matches!(self.checksum, Some((_, Place::Header(_))))
    }

    /// Compares a whole document with what is stated about it.
    ///
    /// # Errors
    /// The first statement that does not hold.
    pub fn verify_document(&self, document: &[u8]) -> Result<(), OpError> {
        if let Some(declared) = self.len
            && declared != document.len() as u64
        {
            return Err(OpError::IncompleteBody { declared, received: document.len() as u64 });
        }
        if self.sha256.is_some_and(|stated| stated[..] != Sha256::digest(document)[..]) {
            return Err(OpError::BadDigest(Digest::ContentSha256));
        }
        if self.md5.is_some_and(|stated| stated[..] != Md5::digest(document)[..]) {
            return Err(OpError::BadDigest(Digest::ContentMd5));
        }
        if let Some((algorithm, Place::Header(stated))) = &self.checksum {
            let mut hasher = Hasher::new(*algorithm);
            hasher.update(document);
            if hasher.finish().value != *stated {
                return Err(OpError::BadDigest(Digest::Checksum(*algorithm)));
            }
        }
        Ok(())
    }

    /// The body with these statements, as ops takes it. The stream leaves its trailers in `trailers`.
    pub fn into_body(self, stream: BodyStream, trailers: TrailerCell) -> Body {
        let checksum = self.checksum.map(|(algorithm, place)| StatedChecksum {
            algorithm,
            value: match place {
                Place::Nowhere => ChecksumValue::Unstated,
                Place::Header(value) => ChecksumValue::Header(value),
                Place::Trailer(name) => ChecksumValue::Trailer(Box::new(move || {
                    let trailers = trailers.lock().take()?;
                    let (_, value) = trailers.into_iter().find(|(trailer, _)| trailer == name)?;
                    decode(&value)
                })),
            },
        });
        Body { stream, len: self.len, stated: OpsStated { md5: self.md5, sha256: self.sha256, checksum } }
    }
}

fn framing(headers: &HeaderMap, content: Option<&str>) -> S3Result<Framing> {
    let trailer = match content {
        Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER") => return Ok(Framing::Unsigned),
        Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD") => false,
        Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") => true,
        Some(other) if other.starts_with("STREAMING-") => {
            return Err(s3_error!(NotImplemented, "x-amz-content-sha256: {other} is not implemented."));
        }
        Some(_) | None => return Ok(Framing::Plain),
    };
    let authorization = text(headers, "authorization")?.and_then(Authorization::parse);
    match (authorization, text(headers, "x-amz-date")?) {
        (Some(authorization), Some(date)) => {
            Ok(Framing::Signed(Box::new(Signed { authorization, date: date.to_owned(), trailer })))
        }
        (_, _) => {
            Err(s3_error!(InvalidRequest, "A streaming signature needs the Authorization and x-amz-date headers."))
        }
    }
}

/// The one checksum that the headers state or announce.
fn stated_checksum(headers: &HeaderMap, chunked: bool) -> S3Result<Option<(ChecksumAlgorithm, Place)>> {
    let mut found = None;
    for (algorithm, name) in CHECKSUMS {
        if let Some(value) = text(headers, name)? {
            let value = value_of(algorithm, value).ok_or_else(|| invalid(name))?;
            add(&mut found, (algorithm, Place::Header(value)))?;
        }
    }
    for name in text(headers, "x-amz-trailer")?.into_iter().flat_map(|names| names.split(',')) {
        let name = name.trim().to_ascii_lowercase();
        let Some((algorithm, name)) = CHECKSUMS.into_iter().find(|(_, known)| *known == name) else {
            return Err(s3_error!(InvalidRequest, "The value specified in the x-amz-trailer header is not supported"));
        };
        if !chunked {
            return Err(s3_error!(InvalidRequest, "x-amz-trailer needs a streaming x-amz-content-sha256."));
        }
        add(&mut found, (algorithm, Place::Trailer(name)))?;
    }
    let Some(asked) = text(headers, "x-amz-sdk-checksum-algorithm")? else { return Ok(found) };
    let asked = algorithm(asked).ok_or_else(|| invalid("x-amz-sdk-checksum-algorithm"))?;
    match found {
        None => Ok(Some((asked, Place::Nowhere))),
        Some((stated, _)) if stated != asked => Err(invalid("x-amz-sdk-checksum-algorithm")),
        Some(_) => Ok(found),
    }
}

fn add<T>(found: &mut Option<T>, next: T) -> S3Result<()> {
    if found.replace(next).is_some() {
        let text = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
        return Err(S3Error::with_message(s3s::S3ErrorCode::InvalidRequest, text));
    }
    Ok(())
}

/// The algorithm of this name, in any case.
pub fn algorithm(name: &str) -> Option<ChecksumAlgorithm> {
    CHECKSUMS.iter().map(|(algorithm, _)| *algorithm).find(|known| checksum::name(*known).eq_ignore_ascii_case(name))
}

/// A checksum's raw bytes from its base64, when it has the algorithm's length.
pub fn value_of(algorithm: ChecksumAlgorithm, text: &str) -> Option<Vec<u8>> {
    decode(text).filter(|value| value.len() == checksum::value_len(algorithm))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.trim()).ok()
}

/// A header's value; `None` when it is absent or empty.
///
/// # Errors
/// When it is there twice or is not visible ASCII.
pub fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> S3Result<Option<&'h str>> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(value.to_str().map_err(|_| invalid(name))?).filter(|value| !value.is_empty())),
        (Some(_), Some(_)) => Err(s3_error!(InvalidRequest, "The header {name} is there twice.")),
    }
}

fn invalid(name: &str) -> S3Error {
    s3_error!(InvalidRequest, "Value for {name} header is invalid.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn code(pairs: &[(&'static str, &'static str)]) -> String {
        Stated::read(&headers(pairs)).expect_err("refused").code().as_str().to_owned()
    }

    #[test]
    fn a_plain_body_states_its_length_and_digests() {
        let stated = Stated::read(&headers(&[
            ("content-length", "3"),
            ("content-md5", "kAFQmDzST7DWlj99KOF/cg=="),
            ("x-amz-checksum-crc32", "NSRBwg=="),
            ("x-amz-sdk-checksum-algorithm", "CRC32"),
            ("x-amz-content-sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ]))
        .expect("well formed");
        assert_eq!((stated.framing.clone(), stated.len), (Framing::Plain, Some(3)));
        assert!(stated.verify_document(b"abc").is_ok());
        assert!(matches!(stated.verify_document(b"abcd"), Err(OpError::IncompleteBody { declared: 3, received: 4 })));
        assert!(matches!(stated.verify_document(b"abd"), Err(OpError::BadDigest(Digest::ContentSha256))));
    }

    #[test]
    fn each_digest_is_compared_on_its_own() {
        for (pair, digest) in [
            (("content-md5", "kAFQmDzST7DWlj99KOF/cg=="), Digest::ContentMd5),
            (("x-amz-checksum-crc32", "NSRBwg=="), Digest::Checksum(ChecksumAlgorithm::Crc32)),
        ] {
            let stated = Stated::read(&headers(&[pair])).expect("well formed");
            assert!(stated.has_digest());
            assert!(matches!(stated.verify_document(b"abd"), Err(OpError::BadDigest(found)) if found == digest));
        }
    }

    #[test]
    fn a_chunked_body_has_the_decoded_length() {
        let stated = Stated::read(&headers(&[
            ("content-length", "99"),
            ("x-amz-decoded-content-length", "5"),
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ("x-amz-trailer", "x-amz-checksum-crc64nvme"),
        ]))
        .expect("well formed");
        assert_eq!((stated.framing, stated.len), (Framing::Unsigned, Some(5)));
        assert_eq!(stated.checksum, Some((ChecksumAlgorithm::Crc64Nvme, Place::Trailer("x-amz-checksum-crc64nvme"))));
    }

    #[test]
    fn contradictions_and_nonsense_are_refused() {
        assert_eq!(code(&[("content-md5", "nonsense")]), "InvalidDigest");
        assert_eq!(code(&[("content-md5", "YWJj")]), "InvalidDigest");
        assert_eq!(code(&[("x-amz-checksum-crc32", "YWJj")]), "InvalidRequest");
        assert_eq!(code(&[("content-length", "-1")]), "InvalidRequest");
        let two = [("x-amz-checksum-crc32", "NSRBwg=="), ("x-amz-checksum-crc32c", "NSRBwg==")];
        assert_eq!(code(&two), "InvalidRequest");
        let other = [("x-amz-checksum-crc32", "NSRBwg=="), ("x-amz-sdk-checksum-algorithm", "SHA1")];
        assert_eq!(code(&other), "InvalidRequest");
        assert_eq!(code(&[("x-amz-trailer", "x-amz-checksum-crc32")]), "InvalidRequest");
        assert_eq!(code(&[("x-amz-trailer", "x-amz-meta-a")]), "InvalidRequest");
        assert_eq!(code(&[("x-amz-content-sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")]), "NotImplemented");
        assert_eq!(code(&[("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")]), "InvalidRequest");
    }
}
