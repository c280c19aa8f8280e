//! What other nodes get of a node, and what nobody gets.

use crate::kit::{
    Client, Config, Dht, Node, Peer, Request, Response, Stage, Suite, hex, is_cut, krpc, noise,
    sha256, torrent, until, within,
};
use std::collections::BTreeSet;
use std::io;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

/// A node looks every ten seconds at what it may share.
const SHARED: Duration = Duration::from_secs(45);

/// A node whose archive has packages of these sizes, all of them fetched and shared.
#[track_caller]
fn sharing(sizes: &[usize], config: Config) -> Stage {
    let mut suite = Suite::new();
    for (number, size) in (0..).zip(sizes) {
        suite.package(
            &format!("file{number}"),
            "1.0",
            &noise(number + 8000, *size),
        );
    }
    let stage = Stage::with(suite, config);
    stage.client().update().expect();
    stage.until_current();
    for number in 0..sizes.len() {
        let (url, file) = url_and_file(&stage, number);
        stage.node.get(&url).expect(file);
        stage.node.settle(&url);
    }
    for number in 0..sizes.len() {
        until_shared(&stage.node, &sha256(url_and_file(&stage, number).1));
    }
    stage
}

fn url_and_file(stage: &Stage, number: usize) -> (String, &[u8]) {
    let package = format!("file{number}");
    let url = stage.url(&stage.suite.pool_path(&package));
    (url, stage.suite.deb(&package))
}

#[track_caller]
fn until_shared(node: &Node, hash: &str) {
    let request = Request::new("HEAD", &path(hash));
    let shared = || try_ask(node, &request).is_ok_and(|answer| answer.status == 200);
    assert!(within(SHARED, shared), "{hash} is not shared");
}

fn path(hash: &str) -> String {
    format!("/~/{hash}")
}

fn connect(node: &Node) -> Client {
    Client::connect(node.peer_addr().port()).unwrap()
}

fn try_ask(node: &Node, request: &Request) -> io::Result<Response> {
    Client::connect(node.peer_addr().port())?.ask(request)
}

/// Asks the peer face on a new connection.
#[track_caller]
fn ask(node: &Node, request: &Request) -> Response {
    try_ask(node, request).unwrap_or_else(|error| panic!("{request:?}: {error}"))
}

/// Fails unless nobody learns anything from this answer.
#[track_caller]
fn expect_nothing(answer: Response) {
    let answer = answer.expect_status(404).expect_body(b"");
    assert_eq!(names(&answer), ["content-length", "date"]);
}

/// The names of header lines, in order.
fn names(answer: &Response) -> Vec<String> {
    let names = answer.headers.iter();
    let names: BTreeSet<_> = names.map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.into_iter().collect()
}

#[test]
fn a_file_is_had_by_its_hash_whole_and_in_parts() {
    let stage = sharing(&[40_000, 1_200_000], Config::default());
    let node = &stage.node;
    let to_clients = node.number("/traffic/to_clients");
    let mut client = connect(node);
    let mut sent = 0;
    for number in 0..2 {
        let (url, file) = url_and_file(&stage, number);
        let path = path(&sha256(file));
        let dated = node.ask(&Request::new("HEAD", &url));
        let whole = client.ask(&Request::get(&path)).unwrap().expect(file);
        assert_eq!(whole.header("Last-Modified"), dated.header("Last-Modified"));
        let told = [
            "accept-ranges",
            "content-length",
            "content-type",
            "date",
            "etag",
            "last-modified",
        ];
        assert_eq!(names(&whole), told);
        let head = client.ask(&Request::new("HEAD", &path)).unwrap();
        assert_eq!(
            head.header("Content-Length"),
            whole.header("Content-Length")
        );
        let length = file.len();
        let ranges = [
            ("bytes=0-9".to_owned(), 0..10),
            ("bytes=30000-39999".to_owned(), 30_000..40_000),
            (format!("bytes={}-", length - 7), length - 7..length),
            ("bytes=-5".to_owned(), length - 5..length),
        ];
        for (range, wanted) in ranges {
            let request = Request::get(&path).header("Range", &range);
            let answer = client.ask(&request).unwrap().expect_status(206);
            let (start, end) = (wanted.start, wanted.end - 1);
            let field = format!("bytes {start}-{end}/{length}");
            assert_eq!(answer.header("Content-Range"), Some(field.as_str()));
            sent += wanted.len();
            answer.expect_body(&file[wanted]);
        }
        let beyond = Request::get(&path).header("Range", "bytes=99999999-");
        client
            .ask(&beyond)
            .unwrap()
            .expect_status(416)
            .expect_body(b"");
        let etag = whole.header("ETag").unwrap();
        let same = Request::get(&path).header("If-None-Match", etag);
        client.ask(&same).unwrap().expect_status(304);
        let other = Request::get(&path)
            .header("Range", "bytes=0-9")
            .header("If-Range", "\"other\"");
        client.ask(&other).unwrap().expect(file);
        sent += 2 * length;
    }
    node.until_number("/traffic/to_peers", sent as u64);
    // What was asked of the apt face meanwhile had no body but the status.
    assert_eq!(node.number("/traffic/to_clients"), to_clients);
}

#[test]
fn one_connection_of_a_peer_serves_many_requests() {
    let stage = sharing(&[40_000, 700_000], Config::default());
    let mut client = connect(&stage.node);
    for round in 0..1000 {
        let file = url_and_file(&stage, usize::from(round % 10 == 9)).1;
        let request = Request::get(&path(&sha256(file)));
        client.ask(&request).unwrap().expect(file);
        if round % 50 == 0 {
            expect_nothing(client.ask(&Request::get(&path(&"0".repeat(64)))).unwrap());
        }
    }
    let (one, other) = (url_and_file(&stage, 0).1, url_and_file(&stage, 1).1);
    let pipelined: Vec<u8> = [one, other, one]
        .iter()
        .flat_map(|file| Request::get(&path(&sha256(file))).bytes())
        .collect();
    client.send_raw(&pipelined).unwrap();
    for file in [one, other, one] {
        client.answer(false).unwrap().expect(file);
    }
}

#[test]
fn nothing_else_is_there() {
    let stage = sharing(&[5000], Config::default());
    let node = &stage.node;
    // Neither what no index vouches for, nor what carries the indexes' hashes.
    let odd = noise(8101, 7000);
    stage.origin.put("/pool/odd_1_all.deb", &odd);
    let url = stage.origin.url("/pool/odd_1_all.deb");
    node.get(&url).expect(&odd);
    node.settle(&url);
    let index = stage.bytes("main/binary-amd64/Packages.xz");
    until_shared(node, &sha256(index));
    thread::sleep(Duration::from_secs(14));
    let file = sha256(url_and_file(&stage, 0).1);
    let inside = url_and_file(&stage, 0).0;
    let targets = [
        path(&sha256(&odd)),
        path(&sha256(stage.bytes("InRelease"))),
        path(&"0".repeat(64)),
        path(&"0".repeat(40)),
        path(&file[1..]),
        path(&format!("{file}0")),
        path(&format!("{file}/")),
        path(&format!("{file}?a=b")),
        path(""),
        path("../etc/passwd"),
        format!("/{file}"),
        "/".to_owned(),
        "/~".to_owned(),
        "/api/status".to_owned(),
        "/metrics".to_owned(),
        "/healthz".to_owned(),
        "/acng-report.html".to_owned(),
        inside,
        stage.origin.prefixed("/pool/odd_1_all.deb"),
        "*".to_owned(),
    ];
    for target in targets {
        expect_nothing(ask(node, &Request::get(&target)));
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"] {
        expect_nothing(ask(node, &Request::new(method, &path(&file))));
    }
    expect_nothing(ask(node, &Request::new("CONNECT", "127.0.0.1:443")));
}

#[test]
fn torrent_strings_are_had_by_their_hash() {
    let peers = Peer::network(2);
    let dht = Dht::through(&peers.iter().collect::<Vec<_>>());
    let stage = sharing(&[40_000, 3_000_000], dht.into());
    let [small, large] = [0, 1].map(|number| torrent(url_and_file(&stage, number).1).written());
    let hash = hex(&krpc::sha1(&large));
    until_shared(&stage.node, &hash);
    let answer = ask(&stage.node, &Request::get(&path(&hash))).expect(&large);
    assert_eq!(
        answer.header("Content-Type"),
        Some("application/x-bencoded")
    );
    let part = Request::get(&path(&hash)).header("Range", "bytes=10-19");
    ask(&stage.node, &part)
        .expect_status(206)
        .expect_body(&large[10..20]);
    // A file of one piece has none.
    let request = Request::get(&path(&hex(&krpc::sha1(&small))));
    expect_nothing(ask(&stage.node, &request));
}

#[test]
fn what_has_gone_is_not_served_from_memory() {
    let peers = Peer::network(2);
    let dht = Dht::through(&peers.iter().collect::<Vec<_>>());
    let stage = sharing(&[40_000, 1_200_000, 5000], dht.into());
    let node = &stage.node;
    let files = [0, 1].map(|number| url_and_file(&stage, number).1);
    let torrent = torrent(files[1]).written();
    let hash = hex(&krpc::sha1(&torrent));
    until_shared(node, &hash);
    let mut client = connect(node);
    let mut get = |hash: &str| client.ask(&Request::get(&path(hash))).unwrap();
    get(&hash).expect(&torrent);
    for file in files {
        get(&sha256(file)).expect(file);
        let [on_disk] = node.copies_of(file).try_into().unwrap();
        std::fs::write(on_disk, noise(8200, file.len())).unwrap();
    }
    assert_eq!(node.cli(&["verify"]).status.code(), Some(1));
    for file in files {
        expect_nothing(get(&sha256(file)));
    }
    expect_nothing(get(&hash));
    let kept = url_and_file(&stage, 2).1;
    get(&sha256(kept)).expect(kept);
}

#[test]
fn a_body_that_vanished_is_not_there_and_nobody_waits() {
    let stage = sharing(&[1_200_000], Config::default());
    let file = url_and_file(&stage, 0).1;
    let request = Request::get(&path(&sha256(file)));
    let mut client = connect(&stage.node);
    client.ask(&request).unwrap().expect(file);
    let [on_disk] = stage.node.copies_of(file).try_into().unwrap();
    std::fs::remove_file(on_disk).unwrap();
    expect_nothing(client.ask(&request).unwrap());
    let url = url_and_file(&stage, 0).0;
    stage.node.get(&url).expect(file);
}

#[test]
fn the_upload_limit_holds_for_all_and_is_shared_by_address() {
    const SIZE: usize = 1_000_000;
    let config = Config {
        upload_limit: "1000000".to_owned(),
        ..Config::default()
    };
    let stage = sharing(&[SIZE, 200_000], config);
    let [large, small] = [0, 1].map(|number| url_and_file(&stage, number).1);
    let port = stage.node.peer_addr().port();
    let took = |source: u8, file: &[u8]| {
        let began = Instant::now();
        let mut client = Client::connect_from([127, 0, 0, source], port).unwrap();
        let answer = client.ask(&Request::get(&path(&sha256(file))));
        answer.unwrap().expect(file);
        began.elapsed().as_secs_f64()
    };
    // Four connections of one address, one of another.
    let (greedy, modest) = thread::scope(|scope| {
        let greedy = [(); 4].map(|()| scope.spawn(|| took(2, large)));
        let modest = scope.spawn(|| took(3, large)).join().unwrap();
        let greedy = greedy.map(|thread| thread.join().unwrap());
        (greedy.into_iter().fold(0.0, f64::max), modest)
    });
    // 5 MB at 1 MB/s; alike for both addresses, the second has its 1 MB after 2 s.
    assert!((4.5..9.0).contains(&greedy), "{greedy} s");
    assert!(modest < 0.6 * greedy, "{modest} s beside {greedy} s");
    // Small bodies, which lie in memory, are no way around it.
    let mut client = connect(&stage.node);
    let began = Instant::now();
    for _ in 0..10 {
        let request = Request::get(&path(&sha256(small)));
        client.ask(&request).unwrap().expect(small);
    }
    let took = began.elapsed().as_secs_f64();
    assert!((1.7..4.0).contains(&took), "{took} s for 2 MB");
}

#[test]
fn who_asks_in_bad_faith_harms_nobody() {
    let mut stage = sharing(&[40_000], Config::default());
    let file = url_and_file(&stage, 0).1.to_vec();
    let good = Request::get(&path(&sha256(&file)));
    let bad: Vec<Vec<u8>> = vec![
        good.clone().header("X-Long", &"x".repeat(300_000)).bytes(),
        Request::get(&path(&"0".repeat(300_000))).bytes(),
        noise(8300, 100_000),
        b"\r\n\r\n\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".to_vec(),
        good.clone().header("Range", "bytes=5-1,9-2,-").bytes(),
        good.clone()
            .header("Range", "bytes=0-18446744073709551615")
            .bytes(),
        good.clone()
            .header("Range", &format!("bytes={}", "0-1,".repeat(9000)))
            .bytes(),
        good.clone().header("Content-Length", "-1").bytes(),
        good.clone().header("Transfer-Encoding", "chunked").bytes(),
        good.clone()
            .header("Content-Length", "99999999999")
            .header("Expect", "100-continue")
            .bytes(),
        good.bytes()[..20].to_vec(),
    ];
    let mut open = Vec::new();
    for bytes in bad {
        let mut client = connect(&stage.node);
        // The node may close before all of it was sent.
        let _ = client.send_raw(&bytes);
        open.push(client);
        ask(&stage.node, &good).expect(&file);
    }
    assert!(stage.node.is_running());
    assert!(!stage.node.log().contains("panicked"));
}

#[test]
fn a_crowd_of_one_address_takes_no_other_s_place() {
    let stage = sharing(&[40_000], Config::default());
    let file = url_and_file(&stage, 0).1;
    let good = Request::get(&path(&sha256(file)));
    let port = stage.node.peer_addr().port();
    let from = |last| Client::connect_from([127, 0, 0, last], port).unwrap();
    let mut crowd: Vec<_> = (0..100).map(|_| from(9)).collect();
    let answers = crowd.iter_mut().map(|client| client.ask(&good));
    let (served, closed): (Vec<_>, Vec<_>) = answers.partition(io::Result::is_ok);
    assert!((10..=64).contains(&served.len()), "{}", served.len());
    assert!(closed.iter().all(is_cut), "{closed:?}");
    from(10).ask(&good).unwrap().expect(file);
    drop(crowd);
    until("the crowd's places are free again", || {
        from(9).ask(&good).is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn a_crowd_of_peers_does_not_take_the_descriptors_of_apt() {
    let node = Node::with(Config {
        wrap: vec!["prlimit".to_owned(), "--nofile=128".to_owned()],
        ..Config::default()
    });
    let port = node.peer_addr().port();
    let crowd: Vec<_> = (0..200)
        .filter_map(|n| Client::connect_from([127, 0, 1, n], port).ok())
        .collect();
    assert!(crowd.len() > 100, "{}", crowd.len());
    node.get("/healthz").expect_status(200);
}

#[test]
fn who_does_not_share_listens_to_nobody() {
    let node = Node::with(Config::from(Dht {
        announces: false,
        ..Dht::default()
    }));
    let refused = Client::connect(node.peer_addr().port());
    assert_eq!(
        refused.unwrap_err().kind(),
        io::ErrorKind::ConnectionRefused
    );
    let addresses = node.status()["peer_face"]["addresses"].clone();
    assert_eq!(addresses, serde_json::json!([]));
}

#[test]
fn the_status_tells_where_other_nodes_are_served() {
    let node = Node::start();
    let addresses = node.status()["peer_face"]["addresses"].clone();
    assert_eq!(addresses, serde_json::json!([node.peer_addr()]));
}

#[test]
fn a_chosen_port_that_is_taken_is_named() {
    let node = Node::asleep(Config::default());
    let taken = TcpListener::bind(node.peer_addr()).unwrap();
    let output = node.cli(&["serve"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let addr = taken.local_addr().unwrap().to_string();
    assert!(said.contains(&addr), "no {addr} in {said}");
    assert!(said.contains("peer.listen"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn where_nobody_chose_the_port_and_it_is_taken_another_one_is_announced() {
    // If it is taken already, by whomever, that is as good.
    let _taken = TcpListener::bind("[::]:9977");
    let peers = Peer::network(3);
    let dht = Dht {
        auto: true,
        ..Dht::through(&peers.iter().collect::<Vec<_>>())
    };
    let node = Node::with(Config {
        any_peer_port: true,
        ..dht.into()
    });
    let status = node.status();
    let address = status["peer_face"]["addresses"][0].as_str().unwrap();
    let port = address.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    assert_ne!(port, 9977);
    let mut client = Client::connect(port).unwrap();
    expect_nothing(client.ask(&Request::get("/")).unwrap());
    let contact = format!("127.0.0.1:{port}");
    until("others tell how they see it", || {
        node.status()["dht"]["contact"] == contact.as_str()
    });
}
