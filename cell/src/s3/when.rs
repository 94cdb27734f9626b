//! Is a request's time near ours, and has it not expired? Asked of the cell's own clock.
//!
//! s3s asks the machine's clock, which may jump an hour while every client's is right; so its own check of a signed date is
//! opened wide, and this one counts. Runs after the signature. Pure.

use super::front;
use crate::limits::CLOCK_SKEW_SECONDS_MAX;
use bulkhead_model::Timestamp;
use http::{HeaderMap, Uri};
use s3s::{S3Result, s3_error};
use time::{Date, Month, OffsetDateTime, Time};

/// Checks the time of a request that is signed by header or by query.
///
/// # Errors
/// The S3 error that says which way it is off.
pub fn check(headers: &HeaderMap, uri: &Uri, now: Timestamp) -> S3Result<()> {
    let query = front::query(uri);
    let get = |name: &str| query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    let now = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
    let skew = i64::from(CLOCK_SKEW_SECONDS_MAX);
    if get("X-Amz-Signature").is_some() {
        let date = get("X-Amz-Date").and_then(seconds).ok_or_else(malformed)?;
        let expires: i64 = get("X-Amz-Expires").and_then(|text| text.parse().ok()).ok_or_else(malformed)?;
        return match now.saturating_sub(date) {
            early if early < -skew => Err(too_skewed()),
            age if age > expires => Err(expired()),
            _ => Ok(()),
        };
    }
    if get("Signature").is_some() {
        let expires: i64 = get("Expires").and_then(|text| text.parse().ok()).ok_or_else(malformed)?;
        return if now > expires { Err(expired()) } else { Ok(()) };
    }
    let date = headers.get("x-amz-date").and_then(|value| value.to_str().ok());
    let date = date.and_then(seconds).ok_or_else(malformed)?;
    if now.abs_diff(date) > u64::from(CLOCK_SKEW_SECONDS_MAX) { Err(too_skewed()) } else { Ok(()) }
}

/// `20130524T000000Z` in seconds since 1970.
fn seconds(text: &str) -> Option<i64> {
    let digits = |from: usize, to: usize| text.get(from..to)?.parse::<u16>().ok();
    let small = |from: usize| u8::try_from(digits(from, from + 2)?).ok();
    if text.len() != 16 || text.get(8..9) != Some("T") || text.get(15..) != Some("Z") {
        return None;
    }
    let month = Month::try_from(small(4)?).ok()?;
    let date = Date::from_calendar_date(i32::from(digits(0, 4)?), month, small(6)?).ok()?;
    let time = Time::from_hms(small(9)?, small(11)?, small(13)?).ok()?;
    Some(OffsetDateTime::new_utc(date, time).unix_timestamp())
}

fn malformed() -> s3s::S3Error {
    s3_error!(AccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
}

fn too_skewed() -> s3s::S3Error {
    s3_error!(RequestTimeTooSkewed, "The difference between the request time and the current time is too large.")
}

fn expired() -> s3s::S3Error {
    s3_error!(AccessDenied, "Request has expired")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2013-05-24 00:00:00 UTC.
    const DATE: u64 = 1_369_353_600;

    fn code(target: &str, date: Option<&str>, now: u64) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(date) = date {
            headers.insert("x-amz-date", date.parse().expect("a header"));
        }
        let uri = target.parse().expect("a target");
        check(&headers, &uri, Timestamp(now * 1_000)).err().map(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn a_date_is_read_as_written() {
        assert_eq!(seconds("20130524T000000Z"), i64::try_from(DATE).ok());
        assert_eq!(seconds("20130524T010203Z"), i64::try_from(DATE + 3_723).ok());
        for bad in
            ["", "20130524T000000", "20130532T000000Z", "20131324T000000Z", "2013-5-4T000000Z", "20130524T250000Z"]
        {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_signed_request_may_be_a_quarter_of_an_hour_off_and_no_more() {
        let date = Some("20130524T000000Z");
        for (now, expected) in [
            (DATE, None),
            (DATE + 900, None),
            (DATE - 900, None),
            (DATE + 901, Some("RequestTimeTooSkewed")),
            (DATE - 901, Some("RequestTimeTooSkewed")),
        ] {
            assert_eq!(code("/b/k", date, now).as_deref(), expected, "{now}");
        }
        assert_eq!(code("/b/k", None, DATE).as_deref(), Some("AccessDenied"));
    }

    #[test]
    fn a_presigned_request_is_good_until_it_expires() {
        let four = "/b/k?X-Amz-Date=20130524T000000Z&X-Amz-Expires=60&X-Amz-Signature=00";
        let two = format!("/b/k?AWSAccessKeyId=a&Signature=b&Expires={}", DATE + 60);
        for (now, expected) in [(DATE, None), (DATE + 60, None), (DATE + 61, Some("AccessDenied"))] {
            assert_eq!(code(four, None, now).as_deref(), expected, "{now}");
            assert_eq!(code(&two, None, now).as_deref(), expected, "{now}");
        }
        assert_eq!(code(four, None, DATE - 901).as_deref(), Some("RequestTimeTooSkewed"));
    }
}
