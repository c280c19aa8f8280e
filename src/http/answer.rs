//! How a file is answered: preconditions and ranges as RFC 9110 says (§13
//! and §14), and the fields that every answer carries.

use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use bytes::Bytes;
use headers::{HeaderMapExt, IfModifiedSince, IfNoneMatch, IfRange};
use http_range_header::{RangeUnsatisfiableError, parse_range_header};
use hyper::body::Body as _;

use super::body::Body;
use crate::store::growing::Came;
use crate::store::hot::Described;

/// RFC 9211: served from the store.
pub const HIT: HeaderValue = HeaderValue::from_static("aptmesh; hit");
/// Served from the store after the origin said that it is current.
pub const REVALIDATED: HeaderValue = HeaderValue::from_static("aptmesh; hit; detail=revalidated");
/// Served from the store because the origin does not answer.
pub const STALE: HeaderValue = HeaderValue::from_static("aptmesh; hit; detail=stale");
/// Came from an origin.
pub const MISS: HeaderValue = HeaderValue::from_static("aptmesh; fwd=miss; detail=mirror");

/// Came from other nodes.
const MISS_PEERS: HeaderValue = HeaderValue::from_static("aptmesh; fwd=miss; detail=peers");
/// Came from both.
const MISS_MIXED: HeaderValue = HeaderValue::from_static("aptmesh; fwd=miss; detail=mixed");

/// It was not in the store, and came from there.
pub const fn miss(came: Came) -> HeaderValue {
    match came {
        Came::Mirror => MISS,
        Came::Peers => MISS_PEERS,
        Came::Mixed => MISS_MIXED,
    }
}

/// Whether an answer with this status came from outside.
pub fn is_miss(status: &HeaderValue) -> bool {
    [MISS, MISS_PEERS, MISS_MIXED].contains(status)
}

/// The name of the field.
pub const CACHE_STATUS: header::HeaderName = header::HeaderName::from_static("cache-status");

/// What of a file a client is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Bytes from the first up to before the second offset.
    Bytes(u64, u64),
    /// Nothing: the client has it.
    NotModified,
    /// Nothing: there are no such bytes.
    Unsatisfiable,
}

/// Decides by the request's conditions and range. Of a file of unknown
/// length no range is served, which RFC 9110 §14.2 allows.
pub fn part(method: &Method, request: &HeaderMap, file: &Described, size: Option<u64>) -> Part {
    if is_not_modified(request, file) {
        return Part::NotModified;
    }
    let Some(size) = size else {
        return Part::Whole;
    };
    // A range is for GET alone (§14.2).
    let ranged = *method == Method::GET && request.contains_key(header::RANGE);
    if !ranged || !range_still_holds(request, file) {
        return Part::Whole;
    }
    let range = request
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    range.map_or(Part::Whole, |range| single_range(range, size))
}

impl Part {
    /// Of a file that is `bytes`.
    pub fn of(self, bytes: &Bytes) -> Bytes {
        let offset = |at: u64| usize::try_from(at).unwrap_or(bytes.len()).min(bytes.len());
        match self {
            Self::Whole => bytes.clone(),
            Self::Bytes(from, to) => bytes.slice(offset(from)..offset(to).max(offset(from))),
            Self::NotModified | Self::Unsatisfiable => Bytes::new(),
        }
    }

    /// From and up to before which offset of a file of this length; `None`
    /// where there is nothing to send.
    pub const fn span(self, size: Option<u64>) -> Option<(u64, Option<u64>)> {
        match self {
            Self::Whole => Some((0, size)),
            Self::Bytes(from, to) => Some((from, Some(to))),
            Self::NotModified | Self::Unsatisfiable => None,
        }
    }
}

fn is_not_modified(request: &HeaderMap, file: &Described) -> bool {
    if let Some(tags) = request.typed_get::<IfNoneMatch>() {
        return etag(file).is_some_and(|etag| !tags.precondition_passes(&etag));
    }
    request
        .typed_get::<IfModifiedSince>()
        .is_some_and(|since| !since.is_modified(file.modified))
}

/// `If-Range`: the range is of the version that the client has. A date must
/// be exactly the one it was told (RFC 9110 §13.1.5).
fn range_still_holds(request: &HeaderMap, file: &Described) -> bool {
    let Some(value) = request.get(header::IF_RANGE) else {
        return true;
    };
    if value.as_bytes().contains(&b'"') {
        let etag = etag(file);
        return request
            .typed_get::<IfRange>()
            .is_some_and(|if_range| !if_range.is_modified(etag.as_ref(), None));
    }
    let date = value
        .to_str()
        .ok()
        .and_then(|text| httpdate::parse_http_date(text).ok());
    date == Some(file.modified)
}

fn etag(file: &Described) -> Option<headers::ETag> {
    file.etag.to_str().ok()?.parse().ok()
}

/// One range is served; of several, and of what is no range, the whole file,
/// which RFC 9110 §14.2 allows.
fn single_range(text: &str, size: u64) -> Part {
    let Ok(parsed) = parse_range_header(text) else {
        return Part::Whole;
    };
    match parsed.validate(size).as_deref() {
        Ok([range]) => Part::Bytes(*range.start(), *range.end() + 1),
        Err(RangeUnsatisfiableError::Unsatisfiable) => Part::Unsatisfiable,
        Ok(_) | Err(_) => Part::Whole,
    }
}

/// The head of an answer for this part of a file, to an apt client.
pub fn head(
    part: Part,
    file: &Described,
    size: Option<u64>,
    cache_status: HeaderValue,
    body: Body,
) -> Response<Body> {
    let mut response = bare_head(part, file, size, body);
    response.headers_mut().insert(CACHE_STATUS, cache_status);
    response
}

/// The head of an answer for this part of a file, without a word of where the
/// file comes from.
pub fn bare_head(part: Part, file: &Described, size: Option<u64>, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.reserve(8);
    headers.insert(header::ETAG, file.etag.clone());
    headers.insert(header::LAST_MODIFIED, file.last_modified.clone());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let status = match part {
        Part::Whole => StatusCode::OK,
        Part::NotModified => StatusCode::NOT_MODIFIED,
        Part::Bytes(from, to) => {
            insert_content_range(headers, &format!("{from}-{}", to - 1), size);
            StatusCode::PARTIAL_CONTENT
        }
        Part::Unsatisfiable => {
            insert_content_range(headers, "*", size);
            StatusCode::RANGE_NOT_SATISFIABLE
        }
    };
    if matches!(part, Part::Whole | Part::Bytes(..)) {
        headers.insert(header::CONTENT_TYPE, file.content_type.clone());
    }
    *response.status_mut() = status;
    response
}

/// A `HEAD` answer has the length that `GET` would have, and no body.
pub fn as_asked(mut response: Response<Body>, method: &Method) -> Response<Body> {
    if *method != Method::HEAD {
        return response;
    }
    let body = std::mem::replace(response.body_mut(), Body::empty());
    if let Some(length) = body.size_hint().exact()
        && response.status() != StatusCode::NOT_MODIFIED
    {
        let length = HeaderValue::from(length);
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length);
    }
    response
}

fn insert_content_range(headers: &mut HeaderMap, range: &str, size: Option<u64>) {
    let size = size.map_or("*".to_owned(), |size| size.to_string());
    if let Ok(value) = HeaderValue::from_str(&format!("bytes {range}/{size}")) {
        headers.insert(header::CONTENT_RANGE, value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::validators::Validators;
    use proptest::prelude::*;

    const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const LATER: &str = "Tue, 14 Nov 2023 22:13:21 GMT";

    fn asked(fields: &[(header::HeaderName, &str)]) -> Part {
        let file = Described::new(&Validators {
            etag: "\"tag\"".into(),
            last_modified: 1_700_000_000_000,
            ..Validators::default()
        });
        let headers = fields
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        part(&Method::GET, &headers, &file, Some(100))
    }

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-", Part::Bytes(0, 100)),
            ("bytes=10-19", Part::Bytes(10, 20)),
            ("bytes=90-1000", Part::Bytes(90, 100)),
            ("bytes=-10", Part::Bytes(90, 100)),
            ("bytes=-1000", Part::Bytes(0, 100)),
            ("bytes=99-99", Part::Bytes(99, 100)),
            ("bytes=100-", Part::Unsatisfiable),
            ("bytes=200-300", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=0-1,5-6", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("bytes=5-2", Part::Whole),
        ] {
            assert_eq!(asked(&[(header::RANGE, text)]), expected, "{text}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_not_served() {
        let ranged =
            |if_range| asked(&[(header::RANGE, "bytes=10-"), (header::IF_RANGE, if_range)]);
        assert_eq!(ranged("\"tag\""), Part::Bytes(10, 100));
        assert_eq!(ranged(DATE), Part::Bytes(10, 100));
        for other in [
            "\"old\"",
            "W/\"tag\"",
            LATER,
            "Tue, 14 Nov 2023 22:13:19 GMT",
            "nonsense",
        ] {
            assert_eq!(ranged(other), Part::Whole, "{other}");
        }
    }

    #[test]
    fn conditions() {
        assert_eq!(
            asked(&[(header::IF_NONE_MATCH, "\"a\", \"tag\"")]),
            Part::NotModified
        );
        assert_eq!(
            asked(&[(header::IF_NONE_MATCH, "W/\"tag\"")]),
            Part::NotModified
        );
        assert_eq!(asked(&[(header::IF_NONE_MATCH, "*")]), Part::NotModified);
        assert_eq!(asked(&[(header::IF_NONE_MATCH, "\"a\"")]), Part::Whole);
        assert_eq!(
            asked(&[(header::IF_MODIFIED_SINCE, DATE)]),
            Part::NotModified
        );
        assert_eq!(
            asked(&[(header::IF_MODIFIED_SINCE, LATER)]),
            Part::NotModified
        );
        assert_eq!(
            asked(&[(header::IF_MODIFIED_SINCE, "Tue, 14 Nov 2023 22:13:19 GMT")]),
            Part::Whole
        );
        let both = [
            (header::IF_NONE_MATCH, "\"a\""),
            (header::IF_MODIFIED_SINCE, LATER),
        ];
        assert_eq!(asked(&both), Part::Whole, "the tag outweighs the date");
    }

    proptest! {
        #[test]
        fn any_range_lies_within_the_file(text in "bytes=[0-9]{0,20}-[0-9]{0,20}") {
            if let Part::Bytes(from, to) = asked(&[(header::RANGE, &text)]) {
                prop_assert!(from < to && to <= 100);
            }
        }
    }
}
