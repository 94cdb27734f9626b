//! The parts of Signature Version 4 that s3s does not hand out: what was signed, and the signatures of chunks.
//!
//! The request's own signature is verified by s3s; nothing here decides whether a request is authentic.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Where a credential is valid: `20260101/us-east-1/s3/aws4_request`, with the access key id in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub access_key: String,
    pub date: String,
    pub region: String,
    pub service: String,
}

impl Scope {
    /// Reads `<key>/<date>/<region>/<service>/aws4_request`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('/');
        let scope = Self {
            access_key: fields.next()?.to_owned(),
            date: fields.next()?.to_owned(),
            region: fields.next()?.to_owned(),
            service: fields.next()?.to_owned(),
        };
        (fields.next() == Some("aws4_request") && fields.next().is_none()).then_some(scope)
    }

    fn without_key(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

/// An `Authorization: AWS4-HMAC-SHA256 …` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    pub scope: Scope,
    /// Lower case.
    pub signed_headers: Vec<String>,
    pub signature: String,
}

impl Authorization {
    /// The only algorithm there is.
    pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

    /// Reads the header's value; `None` when it is malformed or of another algorithm.
    pub fn parse(value: &str) -> Option<Self> {
        let fields = value.trim().strip_prefix(Self::ALGORITHM)?.strip_prefix(|c: char| c.is_ascii_whitespace())?;
        let (mut scope, mut signed_headers, mut signature) = (None, None, None);
        for field in fields.split(',') {
            match field.trim().split_once('=')? {
                ("Credential", value) => scope = Some(Scope::parse(value)?),
                ("SignedHeaders", value) => signed_headers = Some(split_headers(value)),
                ("Signature", value) => signature = Some(value.to_owned()),
                _ => return None,
            }
        }
        Some(Self { scope: scope?, signed_headers: signed_headers?, signature: signature? })
    }
}

/// `a;b;c`, in lower case.
pub fn split_headers(value: &str) -> Vec<String> {
    value.split(';').map(str::to_ascii_lowercase).collect()
}

/// Verifies the chain of chunk signatures of one streamed body. Each signature covers the one before it.
pub struct ChunkSigner {
    key: [u8; 32],
    /// `x-amz-date` of the request.
    date: String,
    scope: String,
    previous: String,
}

impl ChunkSigner {
    /// Starts at the request's own signature, `seed`.
    pub fn new(secret: &str, scope: &Scope, amz_date: &str, seed: &str) -> Self {
        let mut key = hmac(format!("AWS4{secret}").as_bytes(), scope.date.as_bytes());
        for part in [scope.region.as_str(), scope.service.as_str(), "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        Self { key, date: amz_date.to_owned(), scope: scope.without_key(), previous: seed.to_owned() }
    }

    /// Whether `signature` is that of a chunk with this SHA-256. The next chunk builds on it.
    pub fn verify_chunk(&mut self, chunk: Sha256, signature: &str) -> bool {
        let hashes = format!("{}\n{}", hex::encode(Sha256::digest(b"")), hex::encode(chunk.finalize()));
        self.verify("AWS4-HMAC-SHA256-PAYLOAD", &hashes, signature)
    }

    /// Whether `signature` is that of these trailers, `name:value\n` each, in the order of their names.
    pub fn verify_trailer(&mut self, canonical: &[u8], signature: &str) -> bool {
        self.verify("AWS4-HMAC-SHA256-TRAILER", &hex::encode(Sha256::digest(canonical)), signature)
    }

    fn verify(&mut self, what: &str, hashes: &str, signature: &str) -> bool {
        let text = format!("{what}\n{}\n{}\n{}\n{hashes}", self.date, self.scope, self.previous);
        let Ok(stated) = hex::decode(signature) else { return false };
        let same = mac(&self.key, text.as_bytes()).verify_slice(&stated).is_ok();
        self.previous = signature.to_owned();
        same
    }
}

fn mac(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    mac(key, text).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
                          SignedHeaders=host;X-Amz-Date,Signature=ab12";

    #[test]
    fn an_authorization_header_is_taken_apart() {
        let read = Authorization::parse(HEADER).expect("well formed");
        assert_eq!(read.signed_headers, ["host", "x-amz-date"]);
        assert_eq!((read.signature.as_str(), read.scope.region.as_str()), ("ab12", "us-east-1"));
    }

    #[test]
    fn a_malformed_authorization_header_is_none() {
        for bad in [
            "",
            "AWS AKIA:sig",
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d, Signature=e, SignedHeaders=f",
        ] {
            assert_eq!(Authorization::parse(bad), None, "{bad}");
        }
    }

    /// The example of S3's documentation, "Signature calculations for the Authorization header: multiple chunks".
    #[test]
    fn the_documented_chunk_signatures_verify() {
        let scope = Scope::parse("AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request").expect("well formed");
        let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        let mut signer = ChunkSigner::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", &scope, "20130524T000000Z", seed);
        for (len, signature) in [
            (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ] {
            let chunk = Sha256::new().chain_update(vec![b'a'; len]);
            assert!(signer.verify_chunk(chunk, signature), "the chunk of {len} bytes");
        }
        assert!(!signer.verify_chunk(Sha256::new(), seed), "a wrong signature was accepted");
    }
}
