//! The `aws-chunked` content encoding, taken apart in bounded memory: chunk sizes, chunk signatures, trailers.
//!
//! Pure: bytes in, payload out. A chunk's payload is handed on before its signature has been seen, whatever the chunk's
//! size; a body counts only once [`Decoder::finish`] has said so, and nothing is named before that.
//!
//! ```text
//!  Size ─► Payload ─► PayloadEnd ─► Size …          <hex>[;chunk-signature=<64 hex>] CRLF payload CRLF
//!    └─(size 0)─► Trailer ─(empty line)─► Done      name:value CRLF … CRLF
//! ```

use super::sigv4::ChunkSigner;
use crate::{
    limits::{CHUNK_HEADER_BYTES_MAX, TRAILER_BYTES_MAX},
    ops::body::BodyError,
};
use bytes::{Buf, Bytes};
use sha2::{Digest, Sha256};

/// Takes one body apart.
pub struct Decoder {
    state: State,
    /// The line being collected; bounded.
    line: Vec<u8>,
    signing: Option<Signing>,
    trailers: Vec<(String, String)>,
    trailer_bytes: usize,
}

/// What a signed body needs at the end of each chunk.
struct Signing {
    signer: ChunkSigner,
    hash: Sha256,
    /// As the current chunk's header states it.
    stated: String,
    /// Whether the trailer is signed too.
    trailer: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Payload { left: u64 },
    PayloadEnd,
    Trailer,
    Done,
}

/// The body's trailers: names in lower case, in the order of their names.
pub type Trailers = Vec<(String, String)>;

impl Decoder {
    /// For `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    pub fn unsigned() -> Self {
        Self { state: State::Size, line: Vec::new(), signing: None, trailers: Vec::new(), trailer_bytes: 0 }
    }

    /// For `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`, and with `trailer` for its `-TRAILER` variant.
    pub fn signed(signer: ChunkSigner, trailer: bool) -> Self {
        let signing = Signing { signer, hash: Sha256::new(), stated: String::new(), trailer };
        Self { signing: Some(signing), ..Self::unsigned() }
    }

    /// Takes from `input` until there is payload to hand on (`Some`, never empty) or `input` is used up (`None`).
    ///
    /// # Errors
    /// When the framing is malformed or a signature is wrong.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, BodyError> {
        while !input.is_empty() {
            match self.state {
                State::Payload { left } => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    let payload = input.split_to(take);
                    let left = left - payload.len() as u64;
                    self.state = if left == 0 { State::PayloadEnd } else { State::Payload { left } };
                    if let Some(signing) = &mut self.signing {
                        signing.hash.update(&payload);
                    }
                    return Ok(Some(payload));
                }
                State::Size | State::PayloadEnd | State::Trailer => {
                    if let Some(line) = self.take_line(input)? {
                        self.on_line(&line)?;
                    }
                }
                // Some clients send one line end too many.
                State::Done => {
                    if !matches!(input[0], b'\r' | b'\n') {
                        return Err(malformed("bytes after the end"));
                    }
                    input.advance(1);
                }
            }
        }
        Ok(None)
    }

    /// The input has ended: the trailers, when the body is complete.
    ///
    /// # Errors
    /// When the framing stops short, or the trailer's signature is missing or wrong.
    pub fn finish(mut self) -> Result<Trailers, BodyError> {
        let complete = match self.state {
            State::Done => true,
            // The empty line after the last chunk is often left out.
            State::Trailer => self.line.is_empty(),
            State::Size | State::Payload { .. } | State::PayloadEnd => false,
        };
        if !complete {
            return Err(BodyError::Incomplete("the last chunk is missing".to_owned()));
        }
        self.trailers.sort();
        let signature = self.trailers.iter().position(|(name, _)| name == "x-amz-trailer-signature");
        let signature = signature.map(|at| self.trailers.remove(at).1);
        if let Some(Signing { signer, trailer: true, .. }) = &mut self.signing {
            let canonical: String = self.trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
            let Some(signature) = signature else { return Err(malformed("the trailer has no signature")) };
            if !signer.verify_trailer(canonical.as_bytes(), &signature) {
                return Err(BodyError::SignatureMismatch);
            }
        }
        Ok(self.trailers)
    }

    /// A whole line without its end, or `None` when the input stops before the end.
    fn take_line(&mut self, input: &mut Bytes) -> Result<Option<Vec<u8>>, BodyError> {
        let end = input.iter().position(|&byte| byte == b'\n');
        let part = input.split_to(end.map_or(input.len(), |at| at + 1));
        if self.line.len() + part.len() > CHUNK_HEADER_BYTES_MAX {
            return Err(malformed("a line is too long"));
        }
        self.line.extend_from_slice(&part);
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    fn on_line(&mut self, line: &[u8]) -> Result<(), BodyError> {
        let text = std::str::from_utf8(line).map_err(|_| malformed("a line is not UTF-8"))?;
        match self.state {
            State::Size => {
                let size = self.on_chunk_header(text)?;
                if size == 0 {
                    self.end_chunk()?;
                    self.state = State::Trailer;
                } else {
                    self.state = State::Payload { left: size };
                }
            }
            State::PayloadEnd if text.is_empty() => {
                self.end_chunk()?;
                self.state = State::Size;
            }
            State::PayloadEnd => return Err(malformed("a chunk is longer than it says")),
            State::Trailer if text.is_empty() => self.state = State::Done,
            State::Trailer => {
                self.trailer_bytes += line.len();
                if self.trailer_bytes > TRAILER_BYTES_MAX {
                    return Err(malformed("the trailer is too long"));
                }
                let (name, value) = text.split_once(':').ok_or_else(|| malformed("a trailer has no colon"))?;
                self.trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
            State::Payload { .. } | State::Done => {}
        }
        Ok(())
    }

    fn on_chunk_header(&mut self, text: &str) -> Result<u64, BodyError> {
        let (size, extension) = text.split_once(';').map_or((text, None), |(size, rest)| (size, Some(rest)));
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(malformed("a chunk's size is not hexadecimal"));
        }
        let size = u64::from_str_radix(size, 16).map_err(|_| malformed("a chunk's size is too large"))?;
        if let Some(signing) = &mut self.signing {
            let signature = extension.and_then(|extension| extension.trim().strip_prefix("chunk-signature="));
            signing.stated = signature.ok_or_else(|| malformed("a chunk has no signature"))?.to_owned();
        }
        Ok(size)
    }

    fn end_chunk(&mut self) -> Result<(), BodyError> {
        if let Some(signing) = &mut self.signing {
            let hash = std::mem::take(&mut signing.hash);
            if !signing.signer.verify_chunk(hash, &signing.stated) {
                return Err(BodyError::SignatureMismatch);
            }
        }
        Ok(())
    }
}

fn malformed(why: &str) -> BodyError {
    BodyError::Malformed(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::sigv4::Scope;
    use proptest::prelude::*;

    /// Feeds `wire` in pieces of `step` bytes.
    fn decode(mut decoder: Decoder, wire: &[u8], step: usize) -> Result<(Vec<u8>, Trailers), BodyError> {
        let mut payload = Vec::new();
        for piece in wire.chunks(step) {
            let mut input = Bytes::copy_from_slice(piece);
            while let Some(bytes) = decoder.next(&mut input)? {
                payload.extend_from_slice(&bytes);
            }
        }
        Ok((payload, decoder.finish()?))
    }

    fn unsigned(wire: &[u8]) -> Result<(Vec<u8>, Trailers), BodyError> {
        decode(Decoder::unsigned(), wire, 3)
    }

    #[test]
    fn payload_and_trailers_come_out() {
        let wire = b"5\r\nhello\r\n6\r\n world\r\n0\r\nX-Amz-Checksum-Crc32: AAAA== \r\n\r\n";
        let trailers = vec![("x-amz-checksum-crc32".to_owned(), "AAAA==".to_owned())];
        assert_eq!(unsigned(wire), Ok((b"hello world".to_vec(), trailers)));
    }

    #[test]
    fn an_empty_body_and_a_missing_last_line_are_complete() {
        assert_eq!(unsigned(b"0\r\n\r\n"), Ok((Vec::new(), Vec::new())));
        assert_eq!(unsigned(b"1\r\na\r\n0\r\n"), Ok((b"a".to_vec(), Vec::new())));
    }

    #[test]
    fn a_body_that_stops_short_is_incomplete() {
        for wire in
            [&b""[..], b"5", b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\nx-amz-checksum"]
        {
            assert!(matches!(unsigned(wire), Err(BodyError::Incomplete(_))), "{}", String::from_utf8_lossy(wire));
        }
    }

    #[test]
    fn malformed_framing_is_refused() {
        let long_line = [b'0'; CHUNK_HEADER_BYTES_MAX + 1];
        for wire in [
            &b"x\r\n"[..],
            b"\r\n",
            b"+5\r\nhello\r\n",
            b"-1\r\n",
            b"ffffffffffffffffff\r\n",
            b"5\r\nhello!\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\n\r\nmore",
            &long_line,
        ] {
            assert!(matches!(unsigned(wire), Err(BodyError::Malformed(_))), "{}", String::from_utf8_lossy(wire));
        }
    }

    fn documented_signer() -> ChunkSigner {
        let scope = Scope::parse("AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request").expect("well formed");
        let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        ChunkSigner::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", &scope, "20130524T000000Z", seed)
    }

    fn documented_wire() -> Vec<u8> {
        let mut wire = Vec::new();
        for (len, signature) in [
            (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
            (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
            (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
        ] {
            wire.extend_from_slice(format!("{len:x};chunk-signature={signature}\r\n").as_bytes());
            wire.extend_from_slice(&vec![b'a'; len]);
            wire.extend_from_slice(b"\r\n");
        }
        wire
    }

    #[test]
    fn the_documented_signed_body_is_accepted_and_a_flipped_byte_is_not() {
        let mut wire = documented_wire();
        let (payload, _) = decode(Decoder::signed(documented_signer(), false), &wire, 1000).expect("signed");
        assert_eq!(payload, vec![b'a'; 66560]);
        wire[100] ^= 1;
        let flipped = decode(Decoder::signed(documented_signer(), false), &wire, 1000);
        assert_eq!(flipped, Err(BodyError::SignatureMismatch));
    }

    #[test]
    fn a_signed_body_needs_a_signature_on_every_chunk_and_on_its_trailer() {
        let bare = decode(Decoder::signed(documented_signer(), false), b"1\r\na\r\n0\r\n\r\n", 5);
        assert!(matches!(bare, Err(BodyError::Malformed(_))));
        let unsigned_trailer = decode(Decoder::signed(documented_signer(), true), &documented_wire(), 5);
        assert!(matches!(unsigned_trailer, Err(BodyError::Malformed(_))));
    }

    proptest! {
        /// Whatever arrives, the decoder neither panics nor hands on more than it was given.
        #[test]
        fn any_bytes_are_survived(wire in proptest::collection::vec(any::<u8>(), 0..400), step in 1_usize..50) {
            if let Ok((payload, _)) = decode(Decoder::unsigned(), &wire, step) {
                prop_assert!(payload.len() < wire.len());
            }
        }

        /// The pieces in which the bytes arrive make no difference.
        #[test]
        fn the_cut_makes_no_difference(body in proptest::collection::vec(any::<u8>(), 1..300), chunk in 1_usize..100, step in 1_usize..50) {
            let mut wire = Vec::new();
            for piece in body.chunks(chunk) {
                wire.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                wire.extend_from_slice(piece);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(decode(Decoder::unsigned(), &wire, step), Ok((body, Vec::new())));
        }
    }
}
