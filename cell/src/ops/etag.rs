//! ETags as text: 32 hex digits, and for an object completed from parts `-` and their number.

use crate::meta::record::Etag;

/// The ETag without quotes.
pub fn show(etag: &Etag) -> String {
    match etag.parts {
        None => hex::encode(etag.md5),
        Some(parts) => format!("{}-{parts}", hex::encode(etag.md5)),
    }
}

/// Reads an ETag, quoted or not. `None` when no object here can have it: such a tag matches nothing.
pub fn parse(text: &str) -> Option<Etag> {
    let text = text.trim();
    let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let (digits, parts) = match text.split_once('-') {
        None => (text, None),
        Some((digits, parts)) => (digits, Some(parts.parse().ok()?)),
    };
    let mut md5 = [0; 16];
    hex::decode_to_slice(digits, &mut md5).ok()?;
    Some(Etag { md5, parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_survives_its_text_quoted_or_not() {
        for parts in [None, Some(1), Some(10_000)] {
            let etag = Etag { md5: [0xab; 16], parts };
            assert_eq!(parse(&show(&etag)), Some(etag));
            assert_eq!(parse(&format!("\"{}\"", show(&etag))), Some(etag));
        }
    }

    #[test]
    fn what_no_object_can_have_is_none() {
        for text in
            ["", "*", "xyz", "\"\"", "abababababababababababababababab-x", "abababababababababababababababababab"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
