//! What HTTP itself asks for: the headers that every answer has, browsers' questions beforehand, and compression.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_ENCODING,
    CONTENT_TYPE, EXPIRES, HeaderName, HeaderValue, PRAGMA, RETRY_AFTER, VARY,
};
use hyper::{HeaderMap, Response, StatusCode};

/// Bodies shorter than this are sent as they are: in one packet either way.
pub(super) const GZIP_FROM_BYTES: usize = 1024;

/// Headers of a request by which the form of its answer is chosen.
const CHOSEN_BY: &str = "Accept-Encoding, Accept, X-MBX-SBE, X-MBX-TIME-UNIT";

/// What is done here with a path.
const METHODS: &str = "GET, HEAD, OPTIONS";

/// Headers of a request that a page of a browser may set.
const PAGE_HEADERS: &str = "Accept, Content-Type, X-MBX-APIKEY, X-MBX-SBE, X-MBX-TIME-UNIT";

/// Headers of an answer that a page of a browser may read.
const EXPOSED_HEADERS: &str = "X-MBX-USED-WEIGHT, X-MBX-USED-WEIGHT-1M, Retry-After";

/// How long a browser may remember what it was told beforehand, seconds.
const PREFLIGHT_AGE_S: &str = "86400";

const SBE_DEPRECATED: HeaderName = HeaderName::from_static("x-mbx-sbe-deprecated");
const USED_WEIGHT: HeaderName = HeaderName::from_static("x-mbx-used-weight");
const USED_WEIGHT_1M: HeaderName = HeaderName::from_static("x-mbx-used-weight-1m");

/// An answer without the headers that all have.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
    pub(super) is_gzip: bool,
    pub(super) retry_after_s: Option<u64>,
    /// The schema of SBE that the request names is older than the one it is answered in.
    pub(super) is_of_old_schema: bool,
}

/// The whole response. `used_weight` is that of the client's address in this minute.
pub(super) fn response(answer: Answer, used_weight: u32) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(VARY, HeaderValue::from_static(CHOSEN_BY));
    if answer.is_of_old_schema {
        headers.insert(SBE_DEPRECATED, HeaderValue::from_static("true"));
    }
    if answer.is_gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(seconds) = answer.retry_after_s {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static(METHODS));
    }
    common(headers, used_weight);
    response
}

/// The answer to a browser that asks beforehand what a page may do.
pub(super) fn preflight(used_weight: u32) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (name, value) in [
        (ALLOW, METHODS),
        (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (ACCESS_CONTROL_ALLOW_HEADERS, PAGE_HEADERS),
        (ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE_S),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    common(headers, used_weight);
    response
}

fn common(headers: &mut HeaderMap, used_weight: u32) {
    for (name, value) in [
        (CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
        (PRAGMA, "no-cache"),
        (EXPIRES, "0"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(USED_WEIGHT, used_weight.into());
    headers.insert(USED_WEIGHT_1M, used_weight.into());
}

/// Whether a client would rather have gzip than the body as it is (RFC 9110, section 12.5.3).
pub(super) fn prefers_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    let lines = headers.get_all(ACCEPT_ENCODING).iter();
    for coding in lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
    {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1000, thousandths);
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = Some(quality),
            "identity" => identity = Some(quality),
            "*" => any = Some(quality),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && identity.is_none_or(|identity| gzip >= identity)
}

/// A quality from 0 to 1 in thousandths; one that is written otherwise is none.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    let fraction = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(3)
        .fold(0, |all, digit| all * 10 + u16::from(digit - b'0'));
    match whole {
        "0" => fraction,
        "1" if fraction == 0 => 1000,
        _ => 0,
    }
}

/// A body in gzip, quickly rather than as short as can be.
pub(super) fn compressed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.expect("writing to a vector does not fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_where_it_is_wanted_most() {
        let prefers = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(line));
            }
            prefers_gzip(&headers)
        };
        for wanted in [
            &["gzip"] as &[&str],
            &["gzip, deflate, br"],
            &["deflate", "GZIP;q=0.001"],
            &["*"],
            &["br;q=1.0, gzip;q=0.8, *;q=0.1"],
            &["x-gzip ; q=1.000"],
            &["gzip;q=0.5, identity;q=0.5"],
            &["identity;q=0, *;q=0.2"],
        ] {
            assert!(prefers(wanted), "{wanted:?}");
        }
        for other in [
            &[] as &[&str],
            &[""],
            &["identity"],
            &["deflate, br"],
            &["gzip;q=0"],
            &["gzip;q=0.000, *"],
            &["gzip;q=0.5, identity"],
            &["gzip;q=2"],
            &["gzip;q=1.5"],
            &["gzip;q=0.1234"],
            &["gzip;q=a"],
            &["gzipped"],
        ] {
            assert!(!prefers(other), "{other:?}");
        }
    }
}
