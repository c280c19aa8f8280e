//! Ranges and conditions, as RFC 9110 says.

use crate::kit::{Manner, Node, Origin, Request, Response, noise};

const DEB: &str = "/debian/pool/main/r/range/range_1_all.deb";
const SIZE: usize = 10_000;

/// A node that holds one file, and what it says about it.
struct Cached {
    node: Node,
    origin: Origin,
    body: Vec<u8>,
    whole: Response,
}

impl Cached {
    fn new() -> Self {
        let origin = Origin::start();
        let body = noise(21, SIZE);
        origin.put(DEB, &body);
        let node = Node::start();
        node.get(&origin.url(DEB)).expect(&body);
        node.settle(&origin.url(DEB));
        let whole = node.get(&origin.url(DEB)).expect(&body);
        Self {
            node,
            origin,
            body,
            whole,
        }
    }

    fn ask(&self, headers: &[(&str, &str)]) -> Response {
        let request = Request::get(&self.origin.url(DEB));
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        self.node.ask(&request)
    }

    fn tag(&self) -> &str {
        self.whole.header("ETag").expect("ETag on a hit")
    }

    fn date(&self) -> &str {
        self.whole
            .header("Last-Modified")
            .expect("Last-Modified on a hit")
    }
}

#[test]
fn single_ranges_are_answered_with_their_place() {
    let cached = Cached::new();
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=9000-", 9000, SIZE),
        ("bytes=9990-20000", 9990, SIZE),
        ("bytes=-100", SIZE - 100, SIZE),
        ("bytes=-20000", 0, SIZE),
    ] {
        let answer = cached.ask(&[("Range", range)]);
        assert_eq!(answer.status, 206, "{range}");
        let place = format!("bytes {from}-{}/{SIZE}", to - 1);
        assert_eq!(
            answer.header("Content-Range"),
            Some(place.as_str()),
            "{range}"
        );
        answer.expect_body(&cached.body[from..to]);
    }
    assert_eq!(cached.origin.hits(DEB), 1);
}

#[test]
fn a_range_beyond_the_end_is_416_with_the_length() {
    let cached = Cached::new();
    for range in ["bytes=10000-", "bytes=12000-13000", "bytes=-0"] {
        let answer = cached.ask(&[("Range", range)]).expect_status(416);
        assert_eq!(
            answer.header("Content-Range"),
            Some("bytes */10000"),
            "{range}"
        );
    }
}

#[test]
fn a_range_that_is_none_is_ignored_or_refused() {
    let cached = Cached::new();
    for range in ["bytes=abc", "bytes=5-2", "lines=1-2", "bytes="] {
        let answer = cached.ask(&[("Range", range)]);
        let refused = answer.status == 416 || answer.status == 400;
        assert!(
            refused || answer.body == cached.body,
            "{range}: {}",
            answer.status
        );
    }
}

#[test]
fn several_ranges_get_a_right_answer() {
    let cached = Cached::new();
    let answer = cached.ask(&[("Range", "bytes=0-9,20-29")]);
    match answer.status {
        200 => drop(answer.expect(&cached.body)),
        206 => assert!(
            answer
                .header("Content-Type")
                .unwrap()
                .starts_with("multipart/byteranges")
        ),
        status => panic!("{status}"),
    }
}

#[test]
fn if_range_with_the_right_tag_or_date_gives_the_part() {
    let cached = Cached::new();
    for condition in [cached.tag(), cached.date()] {
        let answer = cached.ask(&[("Range", "bytes=6000-"), ("If-Range", condition)]);
        answer.expect_status(206).expect_body(&cached.body[6000..]);
    }
}

#[test]
fn if_range_with_a_stale_tag_or_date_gives_the_whole() {
    let cached = Cached::new();
    let weak = format!("W/{}", cached.tag());
    let stale = [
        "\"0123456789abcdef\"",
        "Mon, 01 Jan 2001 00:00:00 GMT",
        "Fri, 01 Jan 2100 00:00:00 GMT",
        "no date",
        &weak,
    ];
    for condition in stale {
        let answer = cached.ask(&[("Range", "bytes=6000-"), ("If-Range", condition)]);
        assert_eq!(answer.status, 200, "{condition}");
        answer.expect(&cached.body);
    }
}

#[test]
fn a_stale_if_range_turns_even_an_unsatisfiable_range_into_the_whole() {
    let cached = Cached::new();
    let stale = ("If-Range", "Mon, 01 Jan 2001 00:00:00 GMT");
    cached
        .ask(&[("Range", "bytes=20000-"), stale])
        .expect(&cached.body);
}

#[test]
fn unchanged_is_304_without_a_body() {
    let cached = Cached::new();
    let list = format!("\"other\", {}", cached.tag());
    for (name, value) in [
        ("If-None-Match", cached.tag()),
        ("If-None-Match", list.as_str()),
        ("If-None-Match", "*"),
        ("If-Modified-Since", cached.date()),
        ("If-Modified-Since", "Sat, 01 Nov 2025 00:00:00 GMT"),
    ] {
        let answer = cached
            .ask(&[(name, value)])
            .expect_status(304)
            .expect_body(b"");
        assert_eq!(answer.header("ETag"), Some(cached.tag()), "{name}: {value}");
    }
}

#[test]
fn changed_is_the_whole() {
    let cached = Cached::new();
    for (name, value) in [
        ("If-None-Match", "\"other\""),
        ("If-Modified-Since", "Mon, 01 Jan 2001 00:00:00 GMT"),
        ("If-Modified-Since", "no date"),
    ] {
        cached.ask(&[(name, value)]).expect(&cached.body);
    }
}

#[test]
fn if_none_match_outweighs_if_modified_since() {
    let cached = Cached::new();
    let since = ("If-Modified-Since", cached.date());
    cached
        .ask(&[("If-None-Match", "\"other\""), since])
        .expect(&cached.body);
}

#[test]
fn a_304_leaves_the_connection_usable() {
    let cached = Cached::new();
    let mut client = cached.node.connect();
    let url = cached.origin.url(DEB);
    for _ in 0..3 {
        let same = Request::get(&url).header("If-None-Match", cached.tag());
        client.ask(&same).unwrap().expect_status(304);
        client
            .ask(&Request::get(&url))
            .unwrap()
            .expect(&cached.body);
    }
}

#[test]
fn head_with_a_range_has_no_body() {
    let cached = Cached::new();
    let mut client = cached.node.connect();
    let url = cached.origin.url(DEB);
    let head = Request::new("HEAD", &url).header("Range", "bytes=0-9");
    let head = client.ask(&head).unwrap();
    assert!(matches!(head.status, 200 | 206), "{}", head.status);
    client
        .ask(&Request::get(&url))
        .unwrap()
        .expect(&cached.body);
}

#[test]
fn a_range_of_a_cold_file_is_right() {
    for manner in [Manner::good(), Manner::dumb()] {
        let origin = Origin::start();
        let body = noise(22, 200_000);
        origin.put(DEB, &body);
        origin.behave(DEB, manner);
        let node = Node::start();
        let request = Request::get(&origin.url(DEB)).header("Range", "bytes=150000-150099");
        let part = node.ask(&request).expect_status(206);
        assert_eq!(
            part.header("Content-Range"),
            Some("bytes 150000-150099/200000")
        );
        part.expect_body(&body[150_000..150_100]);
        node.get(&origin.url(DEB)).expect(&body);
    }
}

#[test]
fn a_range_beyond_the_end_of_a_cold_file_is_416() {
    let origin = Origin::start();
    origin.put(DEB, &noise(23, 5000));
    let node = Node::start();
    let request = Request::get(&origin.url(DEB)).header("Range", "bytes=5000-");
    let answer = node.ask(&request).expect_status(416);
    assert_eq!(answer.header("Content-Range"), Some("bytes */5000"));
}

#[test]
fn a_range_of_a_growing_file_does_not_wait_for_its_end() {
    let origin = Origin::start();
    let body = noise(24, 100_000);
    origin.put(DEB, &body);
    origin.behave(DEB, Manner::good().hold_after(50_000));
    let node = Node::start();
    let mut first = node.connect();
    first.send(&Request::get(&origin.url(DEB))).unwrap();
    first.head().unwrap();
    assert_eq!(first.take(50_000).unwrap(), body[..50_000]);

    let early = Request::get(&origin.url(DEB)).header("Range", "bytes=1000-1999");
    node.ask(&early)
        .expect_status(206)
        .expect_body(&body[1000..2000]);
    let late = Request::get(&origin.url(DEB)).header("Range", "bytes=-1000");
    let mut second = node.connect();
    second.send(&late).unwrap();
    origin.release(DEB);
    second
        .answer(false)
        .unwrap()
        .expect_status(206)
        .expect_body(&body[99_000..]);
    assert_eq!(first.take(50_000).unwrap(), body[50_000..]);
    assert_eq!(origin.hits(DEB), 1);
}
