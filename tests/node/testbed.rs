//! The kit itself: a test that relies on a broken origin proves nothing.

use crate::kit::{
    Apt, Archive, Certificate, Client, Framing, Manner, Nginx, Origin, PIECE, Request, Response,
    Seeder, Seeding, Wrong, is_cut, noise, path_of,
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

/// What a seeder of this conduct gives for a piece of a file.
fn piece_of(seeder: &Seeder, file: &[u8], piece: usize) -> std::io::Result<Response> {
    let range = format!("bytes={}-{}", piece * PIECE, (piece + 1) * PIECE - 1);
    let request = Request::get(&path_of(file)).header("Range", &range);
    Client::to(seeder.addr())?.ask(&request)
}

fn seeder(seeding: Seeding, file: &[u8]) -> Seeder {
    let seeder = Seeder::that(seeding);
    seeder.add(file);
    seeder
}

#[test]
fn an_honest_seeder_gives_files_pieces_and_torrent_strings() {
    let file = noise(8, 3 * PIECE + 5);
    let seeder = seeder(Seeding::Honest, &file);
    let mut client = Client::to(seeder.addr()).unwrap();
    client
        .ask(&Request::get(&path_of(&file)))
        .unwrap()
        .expect(&file);
    let last = piece_of(&seeder, &file, 3).unwrap().expect_status(206);
    let range = format!("bytes {}-{}/{}", 3 * PIECE, file.len() - 1, file.len());
    assert_eq!(last.header("Content-Range"), Some(range.as_str()));
    last.expect_body(&file[3 * PIECE..]);
    assert_eq!(
        (seeder.sent(&file), seeder.connections()),
        (file.len() + 5, 2)
    );
    let string = crate::kit::torrent(&file).written();
    let path = format!("/~/{}", crate::kit::hex(&crate::kit::krpc::sha1(&string)));
    client.ask(&Request::get(&path)).unwrap().expect(&string);
    client
        .ask(&Request::get("/~/0"))
        .unwrap()
        .expect_status(404);
}

#[test]
fn a_seeder_gets_wrong_what_it_is_to_get_wrong() {
    let file = noise(9, 4 * PIECE);
    let is_right = |seeder: &Seeder, piece: usize| {
        let body = piece_of(seeder, &file, piece)
            .unwrap()
            .expect_status(206)
            .body;
        assert_eq!(body.len(), PIECE);
        body == file[piece * PIECE..(piece + 1) * PIECE]
    };
    let that = |wrong| seeder(Seeding::Corrupting(wrong), &file);
    let every = that(Wrong::Every);
    assert!((0..4).all(|piece| !is_right(&every, piece)));
    let third = that(Wrong::Piece(2));
    assert!((0..4).all(|piece| is_right(&third, piece) == (piece != 2)));
    let second = that(Wrong::EverySecond);
    assert!((0..4).all(|piece| is_right(&second, piece) == (piece % 2 == 1)));
    let differently = that(Wrong::Differently);
    let [one, other] = [0, 1].map(|_| piece_of(&differently, &file, 0).unwrap().body);
    assert!(one != other && one != file[..PIECE]);
}

#[test]
fn a_seeder_fails_as_it_is_told_to() {
    let file = noise(10, 2 * PIECE);
    let that = |seeding| seeder(seeding, &file);
    let ask = |seeder: &Seeder| piece_of(seeder, &file, 1);
    assert!(ask(&that(Seeding::Dead)).is_err());
    ask(&that(Seeding::Refusing)).unwrap().expect_status(404);
    assert!(is_cut(&ask(&that(Seeding::Breaking(1000)))));
    assert!(is_cut(&ask(&that(Seeding::Longer))));
    assert_eq!(ask(&that(Seeding::Shorter)).unwrap().body.len(), PIECE - 1);
    ask(&that(Seeding::Whole)).unwrap().expect(&file);
    let lag = Duration::from_millis(200);
    assert!(ask(&that(Seeding::Lagging(lag))).unwrap().took >= lag);
    let closing = that(Seeding::Closing);
    let mut client = Client::to(closing.addr()).unwrap();
    client
        .ask(&Request::get(&path_of(&file)))
        .unwrap()
        .expect(&file);
    assert!(client.is_closed());
    for quiet in [Seeding::Silent, Seeding::Stalling(1000)] {
        let quiet = that(quiet);
        let mut client = Client::to(quiet.addr()).unwrap();
        client.send(&Request::get(&path_of(&file))).unwrap();
        std::thread::sleep(lag);
        let sent = quiet.sent(&file);
        assert!(sent <= 1000, "{sent}");
        drop(quiet);
        assert!(is_cut(&client.answer(false)));
    }
    let dying = that(Seeding::Dying(PIECE));
    let _ = ask(&dying);
    assert!(ask(&dying).is_err());
}

#[test]
fn a_seeders_limit_is_one_for_all_its_uploads() {
    let file = noise(11, 2 * PIECE);
    let seeder = seeder(Seeding::Honest, &file);
    seeder.limit(2 * PIECE as u64);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for piece in [0, 1] {
            let (seeder, file) = (&seeder, &file);
            scope.spawn(move || piece_of(seeder, file, piece).unwrap().expect_status(206));
        }
    });
    let took = began.elapsed();
    assert!((0.9..2.0).contains(&took.as_secs_f64()), "{took:?}");
}
