//! The kit itself: a test that relies on a broken origin proves nothing.

use crate::kit::{
    Apt, Archive, Certificate, Client, Framing, Manner, Nginx, Origin, Request, noise,
};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

fn port(origin: &Origin) -> u16 {
    origin.host().rsplit(':').next().unwrap().parse().unwrap()
}

fn client(origin: &Origin) -> Client {
    Client::connect(port(origin)).unwrap()
}

#[test]
fn a_healthy_origin_knows_ranges_and_validators() {
    let origin = Origin::start();
    let body = noise(1, 5000);
    origin.put("/a b", &body);
    let mut client = client(&origin);
    let whole = client.ask(&Request::get("/a%20b")).unwrap().expect(&body);
    let tag = whole.header("ETag").unwrap();
    let same = client
        .ask(&Request::get("/a%20b").header("If-None-Match", tag))
        .unwrap();
    assert_eq!(same.status, 304);
    let part = Request::get("/./a%20b").header("Range", "bytes=10-19");
    let part = client.ask(&part.header("If-Range", tag)).unwrap();
    let part = part.expect_status(206).expect_body(&body[10..20]);
    assert_eq!(part.header("Content-Range"), Some("bytes 10-19/5000"));
    let beyond = client
        .ask(&Request::get("/a%20b").header("Range", "bytes=5000-"))
        .unwrap();
    assert_eq!(
        beyond.expect_status(416).header("Content-Range"),
        Some("bytes */5000")
    );
    assert_eq!(origin.hits("/a b"), 4);
}

#[test]
fn a_dumb_origin_knows_neither() {
    let origin = Origin::start();
    origin.put("/f", b"all of it");
    origin.behave("/f", Manner::dumb());
    let request = Request::get("/f").header("Range", "bytes=2-3");
    let answer = client(&origin).ask(&request).unwrap().expect(b"all of it");
    assert_eq!(
        (answer.header("ETag"), answer.header("Last-Modified")),
        (None, None)
    );
}

#[test]
fn faults_come_as_ordered_and_go_when_counted_out() {
    let origin = Origin::start();
    let body = noise(2, 100_000);
    origin.put("/f", &body);
    origin.behave("/f", Manner::good().cut_after(40_000).times(1));
    let cut = client(&origin).ask(&Request::get("/f")).unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::UnexpectedEof);
    client(&origin)
        .ask(&Request::get("/f"))
        .unwrap()
        .expect(&body);

    origin.behave("/f", Manner::good().claim_more(5));
    let short = client(&origin).ask(&Request::get("/f")).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::UnexpectedEof);

    for framing in [Framing::Chunked, Framing::Close] {
        origin.behave("/f", Manner::good().framing(framing));
        client(&origin)
            .ask(&Request::get("/f"))
            .unwrap()
            .expect(&body);
    }
    origin.behave("/f", Manner::corrupt());
    let spoilt = client(&origin).ask(&Request::get("/f")).unwrap();
    assert!(spoilt.body.len() == body.len() && spoilt.body != body);
    origin.behave("/f", Manner::status(503));
    client(&origin)
        .ask(&Request::get("/f"))
        .unwrap()
        .expect_status(503);
    client(&origin)
        .ask(&Request::get("/none"))
        .unwrap()
        .expect_status(404);
}

#[test]
fn a_held_answer_waits_for_its_release_and_a_paced_one_takes_its_time() {
    let origin = Origin::start();
    let body = noise(3, 50_000);
    origin.put("/f", &body);
    origin.behave("/f", Manner::good().hold_after(1000));
    let mut waiting = client(&origin);
    waiting.send(&Request::get("/f")).unwrap();
    let head = waiting.head().unwrap();
    assert_eq!(waiting.take(1000).unwrap(), body[..1000]);
    origin.release("/f");
    assert_eq!(head.header("Content-Length"), Some("50000"));
    assert_eq!(waiting.take(49_000).unwrap(), body[1000..]);

    origin.behave("/f", Manner::good().pace(100_000));
    let started = Instant::now();
    client(&origin)
        .ask(&Request::get("/f"))
        .unwrap()
        .expect(&body);
    assert!(started.elapsed() > Duration::from_millis(400));
}

#[test]
fn a_closed_origin_refuses_and_opens_again_on_the_same_port() {
    let origin = Origin::start();
    origin.put("/f", b"f");
    origin.behave("/g", Manner::silent());
    let mut waiting = client(&origin);
    waiting.send(&Request::get("/g")).unwrap();
    origin.wait_for("/g", 1);
    origin.close();
    assert!(waiting.is_closed());
    assert!(Client::connect(port(&origin)).is_err());
    origin.open();
    client(&origin)
        .ask(&Request::get("/f"))
        .unwrap()
        .expect(b"f");
}

#[test]
fn apt_alone_works_with_the_archive_behind_nginx() {
    let mut archive = Archive::new();
    let nginx = Nginx::serve(archive.root());
    let sources = [
        format!("http://{}/debian stable main", nginx.host()),
        format!("http://{}/flat ./", nginx.host()),
    ];
    let apt = Apt::new(&archive.key(), &sources, None);
    apt.update().expect();
    apt.download(&["libodd++6", "g++-odd"]).expect();
    apt.install(&["hello"]).expect();
    assert_eq!(apt.debs().len(), 4, "{:?}", apt.debs());
    let log = nginx.log();
    assert!(
        log.iter().any(|line| line.contains("/by-hash/SHA256/")),
        "{log:#?}"
    );

    archive.package("hello", "2.11-1", "", &noise(9, 9000));
    archive.publish();
    apt.update().expect();
    assert_eq!(apt.candidate("hello"), "2.11-1");
    apt.download(&["hello"]).expect();
}

#[test]
fn the_certificate_is_good_for_loopback() {
    let archive = tempfile::tempdir().unwrap();
    std::fs::write(archive.path().join("f"), "over TLS").unwrap();
    let certificate = Certificate::new();
    let nginx = Nginx::serve_tls(archive.path(), &certificate, "http://127.0.0.1:9/");
    let output = std::process::Command::new("openssl")
        .args([
            "s_client",
            "-verify_return_error",
            "-verify_ip",
            "127.0.0.1",
            "-CAfile",
        ])
        .arg(certificate.authority())
        .args(["-connect", &nginx.host()])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
