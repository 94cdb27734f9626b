//! Watches the bytes of a connection for requests whose length two parsers could read differently.
//!
//! hyper refuses most of those shapes itself, but accepts `Content-Length` beside `Transfer-Encoding` (it drops the former), so
//! that a handler cannot see it. This is a second, independent count of where each request begins and ends. It decides
//! nothing about requests it finds in order, and once a connection is [`Framing::is_ambiguous`] it stays so.

/// Longest part of a header line that is looked at: the two names of interest and any sane value.
const LINE_BYTES: usize = 64;

/// Where in the stream of requests a connection is.
#[derive(Debug)]
pub(super) struct Framing {
    place: Place,
    line: Line,
    head: Head,
    ambiguous: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a head, or between requests when nothing of it has arrived.
    Head,
    /// In a body of known length.
    Body { left: u64 },
    /// Before or in the line that gives a chunk's size.
    ChunkSize,
    /// In a chunk and the line end after it.
    Chunk { left: u64 },
    /// After the last chunk.
    Trailers,
    /// Not HTTP any more; hyper ends such a connection.
    Lost,
}

/// What the head read so far says about the body.
#[derive(Debug, Default)]
struct Head {
    begun: bool,
    length: Option<u64>,
    encodings: u32,
}

/// The beginning of the line that is being read.
#[derive(Debug)]
struct Line {
    bytes: [u8; LINE_BYTES],
    length: usize,
}

impl Framing {
    pub(super) fn new() -> Self {
        let line = Line { bytes: [0; LINE_BYTES], length: 0 };
        Self { place: Place::Head, line, head: Head::default(), ambiguous: false }
    }

    /// A request was seen whose end two parsers could place differently.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.ambiguous
    }

    /// A head has begun and not ended.
    pub(super) fn is_in_head(&self) -> bool {
        self.place == Place::Head && (self.head.begun || self.line.length > 0)
    }

    /// A body has begun and not ended.
    pub(super) fn is_in_body(&self) -> bool {
        !matches!(self.place, Place::Head)
    }

    /// Takes the next bytes of the connection.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.place {
                Place::Lost => return,
                Place::Body { left } => self.skip(bytes, left, Place::Head, |left| Place::Body { left }),
                Place::Chunk { left } => self.skip(bytes, left, Place::ChunkSize, |left| Place::Chunk { left }),
                Place::Head | Place::ChunkSize | Place::Trailers => self.feed_line(bytes),
            };
        }
    }

    fn skip<'a>(&mut self, bytes: &'a [u8], left: u64, then: Place, still: fn(u64) -> Place) -> &'a [u8] {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - taken as u64;
        self.place = if left == 0 { then } else { still(left) };
        &bytes[taken..]
    }

    fn feed_line<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
            self.line.extend(bytes);
            return &[];
        };
        self.line.extend(&bytes[..end]);
        self.end_of_line();
        self.line.length = 0;
        &bytes[end + 1..]
    }

    fn end_of_line(&mut self) {
        let line = self.line.text();
        match self.place {
            Place::Head if line.is_empty() && self.head.begun => self.end_of_head(),
            // Empty lines before a request are allowed and mean nothing.
            Place::Head if line.is_empty() => {}
            Place::Head => {
                self.ambiguous |= !self.head.take(line);
                self.head.begun = true;
            }
            Place::ChunkSize => match chunk_size(line) {
                Some(0) => self.place = Place::Trailers,
                Some(size) => self.place = Place::Chunk { left: size.saturating_add(2) },
                None => self.place = Place::Lost,
            },
            Place::Trailers if line.is_empty() => self.place = Place::Head,
            Place::Trailers | Place::Body { .. } | Place::Chunk { .. } | Place::Lost => {}
        }
    }

    fn end_of_head(&mut self) {
        let head = std::mem::take(&mut self.head);
        self.ambiguous |= head.encodings > 1 || (head.encodings > 0 && head.length.is_some());
        self.place = match (head.encodings, head.length) {
            (0, None | Some(0)) => Place::Head,
            (0, Some(left)) => Place::Body { left },
            _ => Place::ChunkSize,
        };
    }
}

impl Head {
    /// Notes a line of the head. `false` when the line alone makes the request ambiguous.
    fn take(&mut self, line: &[u8]) -> bool {
        if !self.begun {
            return true;
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return false;
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return true };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.encodings += 1;
            return value.eq_ignore_ascii_case(b"chunked");
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = decimal(value);
            let repeated = self.length.is_some();
            self.length = length;
            return length.is_some() && !repeated;
        }
        true
    }
}

impl Line {
    fn extend(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES - self.length;
        let taken = room.min(bytes.len());
        self.bytes[self.length..self.length + taken].copy_from_slice(&bytes[..taken]);
        self.length += taken;
    }

    /// The line without the carriage return before its end.
    fn text(&self) -> &[u8] {
        let line = &self.bytes[..self.length];
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

fn decimal(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok()
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|&byte| byte == b';').next()?.trim_ascii();
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds in pieces of `step` bytes, so that every boundary is crossed.
    fn fed(stream: &str, step: usize) -> Framing {
        let mut framing = Framing::new();
        stream.as_bytes().chunks(step).for_each(|piece| framing.feed(piece));
        framing
    }

    fn is_ambiguous(stream: &str) -> bool {
        let verdicts: Vec<bool> = [1, 3, 7, 4096].iter().map(|&step| fed(stream, step).is_ambiguous()).collect();
        assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]), "depends on how it is cut: {stream:?}");
        verdicts[0]
    }

    #[test]
    fn shapes_that_two_parsers_read_differently_are_ambiguous() {
        for head in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "transfer-encoding: chunked\r\ncontent-length: 3",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: xchunked",
            "Content-Length: 3\r\nContent-Length: 4",
            "Content-Length: 3\r\nContent-Length: 3",
            "Content-Length: 3, 3",
            "Content-Length: +3",
            "Content-Length:",
            "Content-Length : 3\r\nTransfer-Encoding : chunked",
            "X-A: 1\r\n folded",
        ] {
            assert!(is_ambiguous(&format!("PUT /b/k HTTP/1.1\r\nHost: h\r\n{head}\r\n\r\n")), "{head:?}");
        }
    }

    #[test]
    fn ordinary_requests_in_a_row_are_in_order() {
        let stream = "\r\nPUT /a HTTP/1.1\r\nContent-Length: 41\r\n\r\nTransfer-Encoding: x\r\nContent-Length: 9\r\n\
                      GET /b HTTP/1.1\r\nHost: h\r\n\r\n\
                      PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6;ext=1\r\nab\r\ncd\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n\
                      GET /d HTTP/1.1\r\nX-Long: ";
        let long = format!("{stream}{}\r\n\r\n", "content-length: 1 ".repeat(50));
        assert!(!is_ambiguous(&long));
        assert!(!fed(&long, 5).is_in_head() && !fed(&long, 5).is_in_body());
    }

    #[test]
    fn a_bad_request_behind_a_body_is_found() {
        let stream = "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
                      PUT /b HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(is_ambiguous(stream));
    }

    #[test]
    fn it_knows_whether_a_head_or_a_body_is_unfinished() {
        assert!(fed("GET / HT", 4096).is_in_head());
        assert!(fed("GET / HTTP/1.1\r\n", 4096).is_in_head());
        assert!(!fed("GET / HTTP/1.1\r\n\r\n", 4096).is_in_head());
        assert!(fed("PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\nx", 4096).is_in_body());
        assert!(!fed("PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\nxy", 4096).is_in_body());
    }
}
