//! Bucket names and object keys: what S3 allows, checked in one place.

/// The longest object key, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 1024;

/// Why a bucket name is refused. The text is shown to the client in `InvalidBucketName`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BucketNameError {
    #[error("a bucket name has 3 to 63 characters")]
    Length,
    #[error("a bucket name consists of a-z, 0-9, '.' and '-'")]
    Character,
    #[error("a bucket name begins and ends with a letter or a digit")]
    Edge,
    #[error("a bucket name has no two periods in a row, and no '-' beside a period")]
    Periods,
    #[error("a bucket name is not formatted as an IP address")]
    IpAddress,
    #[error(
        "a bucket name does not begin with xn--, sthree- or amzn-s3-demo-, nor end with -s3alias, --ol-s3, .mrap or --x-s3"
    )]
    Reserved,
}

/// Checks a name for a *new* bucket against S3's general-purpose bucket rules.
///
/// # Errors
/// The first rule that the name breaks.
pub fn check_bucket_name(name: &str) -> Result<(), BucketNameError> {
    const PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
    const SUFFIXES: [&str; 4] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3"];
    let bytes = name.as_bytes();
    if !(3..=63).contains(&bytes.len()) {
        return Err(BucketNameError::Length);
    }
    let is_alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !bytes.iter().all(|&b| is_alphanumeric(b) || b == b'.' || b == b'-') {
        return Err(BucketNameError::Character);
    }
    if !is_alphanumeric(bytes[0]) || !is_alphanumeric(bytes[bytes.len() - 1]) {
        return Err(BucketNameError::Edge);
    }
    if ["..", ".-", "-."].iter().any(|pair| name.contains(pair)) {
        return Err(BucketNameError::Periods);
    }
    if name.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err(BucketNameError::IpAddress);
    }
    if PREFIXES.iter().any(|p| name.starts_with(p)) || SUFFIXES.iter().any(|s| name.ends_with(s)) {
        return Err(BucketNameError::Reserved);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_accepted() {
        let longest = "a".repeat(63);
        for name in ["abc", "my-bucket", "my.bucket.eu", "0a0", longest.as_str()] {
            assert_eq!(check_bucket_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn each_rule_has_a_name_that_breaks_it() {
        let too_long = "a".repeat(64);
        for (name, error) in [
            ("ab", BucketNameError::Length),
            (too_long.as_str(), BucketNameError::Length),
            ("Upper", BucketNameError::Character),
            ("under_score", BucketNameError::Character),
            ("-abc", BucketNameError::Edge),
            ("abc.", BucketNameError::Edge),
            ("a..b", BucketNameError::Periods),
            ("a.-b", BucketNameError::Periods),
            ("192.168.5.4", BucketNameError::IpAddress),
            ("xn--abc", BucketNameError::Reserved),
            ("abc-s3alias", BucketNameError::Reserved),
        ] {
            assert_eq!(check_bucket_name(name), Err(error), "{name}");
        }
    }
}
