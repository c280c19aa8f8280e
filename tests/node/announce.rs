//! What a node tells others of its files, and what it does not.

use crate::kit::bencode::{Ben, dict};
use crate::kit::krpc::{Id, compact_addr, key_of, sha1};
use crate::kit::{
    Conduct, Config, Dht, Node, PIECE, Peer, Stage, Suite, distance, noise, torrent, until, within,
};
use std::time::Duration;

/// Files are announced within this time: a node looks at what it has every ten seconds.
const ANNOUNCED: Duration = Duration::from_secs(45);

/// What is announced at all has been announced in this time.
const QUIET: Duration = Duration::from_secs(14);

/// A suite with packages of these sizes, named `file0` and so on.
fn suite(sizes: &[usize]) -> Suite {
    let mut suite = Suite::new();
    for (number, size) in (0..).zip(sizes) {
        let content = noise(number + 5000, *size);
        suite.package(&format!("file{number}"), "1.0", &content);
    }
    suite
}

/// A node that joined through these, behind it an archive with packages of these sizes, of which
/// its indexes are known.
#[track_caller]
fn stage(sizes: &[usize], dht: Dht) -> Stage {
    let stage = Stage::with(suite(sizes), dht.into());
    stage.client().update().expect();
    stage.until_current();
    stage
}

/// Has the node fetch a package.
#[track_caller]
fn fetch(stage: &Stage, package: &str) {
    let url = stage.url(&stage.suite.pool_path(package));
    stage.node.get(&url).expect(stage.suite.deb(package));
    stage.node.settle(&url);
}

/// Waits until one of the peers keeps something under a key.
#[track_caller]
fn until_stored(peers: &[Peer], key: &Id) {
    let stored = || peers.iter().any(|peer| !peer.kept(key).is_empty());
    assert!(within(ANNOUNCED, stored), "nothing is stored under {key:?}");
}

/// The one value that the peers keep under a key.
#[track_caller]
fn value(peers: &[Peer], key: &Id) -> Ben {
    until_stored(peers, key);
    let mut values: Vec<_> = peers.iter().flat_map(|peer| peer.kept(key)).collect();
    values.dedup();
    assert_eq!(values.len(), 1, "{values:?}");
    let value = Ben::read(&values[0]).unwrap();
    assert_eq!(value.written(), values[0]);
    value
}

/// Everything that the peers were asked to keep: keys, each once.
fn keys(peers: &[Peer]) -> Vec<Id> {
    let heard = peers.iter().flat_map(|peer| peer.heard("store_value"));
    let mut keys: Vec<_> = heard.filter_map(|heard| heard.target()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn contact(node: &Node) -> Ben {
    (&compact_addr(node.peer_addr())).into()
}

fn through(peers: &[Peer]) -> Dht {
    Dht::through(&peers.iter().collect::<Vec<_>>())
}

#[test]
fn a_file_of_one_piece_is_told_by_its_contact_alone() {
    let peers = Peer::network(4);
    let stage = stage(&[40_000, PIECE - 8], through(&peers));
    for package in ["file0", "file1"] {
        fetch(&stage, package);
    }
    // With the head of an archive, the second is one piece to the byte.
    assert_eq!(stage.suite.deb("file1").len(), PIECE);
    for package in ["file0", "file1"] {
        let key = key_of(stage.suite.deb(package));
        let told = value(&peers, &key);
        assert_eq!(told, dict([("c", contact(&stage.node))]));
        let contact = compact_addr(stage.node.peer_addr());
        let bytes = [b"d1:c6:".as_slice(), &contact, b"e"].concat();
        assert_eq!(told.written(), bytes);
    }
}

#[test]
fn a_file_of_two_to_four_pieces_carries_its_hashes() {
    let peers = Peer::network(4);
    let stage = stage(&[PIECE - 7, 1_200_000, 4 * PIECE - 8], through(&peers));
    let files = [("file0", 2), ("file1", 3), ("file2", 4)];
    for (package, _) in files {
        fetch(&stage, package);
    }
    for (package, pieces) in files {
        let file = stage.suite.deb(package);
        let torrent = torrent(file);
        let hashes = torrent.get("t").and_then(Ben::bytes).unwrap();
        assert_eq!(hashes.len(), 20 * pieces);
        let told = value(&peers, &key_of(file));
        assert_eq!(told, dict([("c", contact(&stage.node)), ("t", torrent)]));
    }
}

#[test]
fn a_file_of_five_pieces_or_more_refers_to_its_hashes() {
    let peers = Peer::network(4);
    let stage = stage(&[4 * PIECE - 7, 3_000_000], through(&peers));
    for package in ["file0", "file1"] {
        fetch(&stage, package);
    }
    for package in ["file0", "file1"] {
        let file = stage.suite.deb(package);
        let torrent = torrent(file);
        let reference = sha1(&torrent.written());
        let told = value(&peers, &key_of(file));
        let wanted = dict([("c", contact(&stage.node)), ("h", reference.into())]);
        assert_eq!(told, wanted);
        assert_eq!(value(&peers, &reference), torrent);
    }
}

#[test]
fn hashes_that_fit_into_no_packet_are_not_stored() {
    let peers = Peer::network(3);
    let stage = stage(&[64 * PIECE - 8, 64 * PIECE - 7], through(&peers));
    for (package, fits) in [("file0", true), ("file1", false)] {
        fetch(&stage, package);
        let file = stage.suite.deb(package);
        let torrent = torrent(file);
        let reference = sha1(&torrent.written());
        let told = value(&peers, &key_of(file));
        assert_eq!(told.get("h"), Some(&reference.into()));
        if fits {
            assert_eq!(value(&peers, &reference), torrent);
        } else {
            assert!(!keys(&peers).contains(&reference));
        }
    }
}

#[test]
fn the_six_closest_nodes_are_told() {
    let peers = Peer::network(14);
    let stage = stage(&[9000], Dht::through(&[&peers[0]]));
    fetch(&stage, "file0");
    let key = key_of(stage.suite.deb("file0"));
    until_stored(&peers, &key);
    let told = || peers.iter().filter(|peer| !peer.stored(&key).is_empty());
    until("six are told", || told().count() >= 6);
    std::thread::sleep(Duration::from_secs(1));
    let mut told: Vec<_> = told().map(Peer::id).collect();
    let mut closest: Vec<_> = peers.iter().map(Peer::id).collect();
    closest.sort_by_key(|id| distance(id, &key));
    closest.truncate(6);
    told.sort_by_key(|id| distance(id, &key));
    assert_eq!(told, closest);
    // Each of them once, with its own token.
    for peer in &peers {
        assert!(peer.stored(&key).len() <= 1);
    }
}

#[test]
fn indexes_of_a_known_hash_are_told_of_and_others_are_not() {
    let peers = Peer::network(4);
    let stage = stage(&[], through(&peers));
    let index = stage.bytes("main/binary-amd64/Packages.xz").to_vec();
    until_stored(&peers, &key_of(&index));
    let release = key_of(stage.bytes("InRelease"));
    std::thread::sleep(QUIET);
    assert!(!keys(&peers).contains(&release));
}

#[test]
fn what_no_index_vouches_for_is_told_to_nobody() {
    let peers = Peer::network(4);
    let stage = stage(&[5000, 6000], through(&peers));
    let unknown = noise(9001, 7000);
    let unlisted = [b"!<arch>\n".as_slice(), &noise(9002, 8000)].concat();
    for (path, body) in [
        ("/pool/odd_1_all.deb", &unknown),
        ("/debian/pool/odd_2_all.deb", &unlisted),
    ] {
        stage.origin.put(path, body);
        let url = stage.origin.url(path);
        stage.node.get(&url).expect(body);
        stage.node.settle(&url);
    }
    let imported = [b"!<arch>\n".as_slice(), &noise(9003, 9000)].concat();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd_3_all.deb");
    std::fs::write(&file, &imported).unwrap();
    let output = stage.node.cli(&["import", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    fetch(&stage, "file0");
    until_stored(&peers, &key_of(stage.suite.deb("file0")));
    fetch(&stage, "file1");
    until_stored(&peers, &key_of(stage.suite.deb("file1")));
    let keys = keys(&peers);
    for body in [&unknown, &unlisted, &imported] {
        assert!(!keys.contains(&key_of(body)));
    }
}

#[test]
fn an_imported_file_is_told_of_once_an_index_vouches_for_it() {
    let peers = Peer::network(4);
    let stage = Stage::with(suite(&[5000]), through(&peers).into());
    let body = stage.suite.deb("file0").to_vec();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file0_1.0_amd64.deb");
    std::fs::write(&file, &body).unwrap();
    let output = stage.node.cli(&["import", file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    std::thread::sleep(QUIET);
    assert_eq!(keys(&peers), Vec::<Id>::new());
    stage.client().update().expect();
    stage.until_current();
    until_stored(&peers, &key_of(&body));
}

#[test]
fn an_evicted_file_is_not_told_of_again() {
    let peers = Peer::network(4);
    let often = "key_refresh = \"4s\"\nkey_expire = \"1m\"";
    let mut stage = stage(&[1_500_000, 5000], through(&peers).with(often));
    for package in ["file0", "file1"] {
        fetch(&stage, package);
        until_stored(&peers, &key_of(stage.suite.deb(package)));
    }
    let [gone, kept] = ["file0", "file1"].map(|package| key_of(stage.suite.deb(package)));
    let times = |key: &Id| {
        peers
            .iter()
            .map(|peer| peer.stored(key).len())
            .max()
            .unwrap()
    };
    until("both are told of again", || {
        times(&gone).min(times(&kept)) > 1
    });
    stage.node.stop();
    stage
        .node
        .reconfigure(|config| config.max_size = "1MiB".to_owned());
    stage.node.launch();
    let output = stage.node.cli(&["gc"]);
    assert!(output.status.success(), "{output:?}");
    let body = stage.suite.deb("file0").to_vec();
    until("the eviction", || stage.node.copies_of(&body).is_empty());
    // What was under way then may still be told.
    std::thread::sleep(Duration::from_secs(1));
    peers.iter().for_each(Peer::forget);
    let again = within(ANNOUNCED, || times(&kept) > 1);
    assert!(again, "the other is not told of again");
    assert_eq!(times(&gone), 0);
}

#[test]
fn a_file_is_told_of_again_before_it_is_forgotten_and_not_too_often() {
    let peers = Peer::network(3);
    let lines = "key_refresh = \"6s\"\nkey_expire = \"9s\"";
    let stage = stage(&[5000], through(&peers).with(lines));
    fetch(&stage, "file0");
    let key = key_of(stage.suite.deb("file0"));
    let stored = || peers[0].stored(&key);
    assert!(
        within(ANNOUNCED, || stored().len() >= 3),
        "not often enough"
    );
    let at: Vec<_> = stored().iter().map(|heard| heard.at).collect();
    for two in at.windows(2) {
        let pause = (two[1] - two[0]).as_secs_f64();
        assert!((3.0..9.0).contains(&pause), "told again after {pause} s");
    }
}

#[test]
fn who_does_not_share_tells_nobody() {
    let peers = Peer::network(3);
    let dht = Dht {
        announces: false,
        ..through(&peers)
    };
    let stage = stage(&[5000, 1_200_000], dht);
    for package in ["file0", "file1"] {
        fetch(&stage, package);
    }
    std::thread::sleep(QUIET);
    assert_eq!(keys(&peers), Vec::<Id>::new());
    // It finds all the same.
    peers[0].keep(key_of(b"a file"), b"d1:c6:\x7f\x09\x09\x09\0\x09e");
    let output = stage.node.cli(&["find", &crate::kit::sha256(b"a file")]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_restart_does_not_tell_everything_again() {
    let peers = Peer::network(4);
    let mut stage = stage(&[5000, 6000, 7000, 600_000], through(&peers));
    let packages = ["file0", "file1", "file2", "file3"];
    for package in packages {
        fetch(&stage, package);
    }
    for package in packages {
        until_stored(&peers, &key_of(stage.suite.deb(package)));
    }
    let told = keys(&peers);
    std::thread::sleep(Duration::from_secs(3));
    for end in [Node::stop, Node::kill9] {
        end(&mut stage.node);
        peers.iter().for_each(Peer::forget);
        stage.node.launch();
        until("it is back", || {
            peers.iter().any(|peer| !peer.heard("find_node").is_empty())
        });
        std::thread::sleep(QUIET);
        let again = keys(&peers);
        let again: Vec<_> = again.iter().filter(|key| told.contains(key)).collect();
        assert_eq!(again, Vec::<&Id>::new());
    }
}

#[test]
fn a_node_that_knows_nobody_waits_and_tells_who_comes() {
    let stage = stage(&[5000], Dht::default());
    fetch(&stage, "file0");
    std::thread::sleep(QUIET);
    let peer = Peer::new();
    peer.ask_node(&stage.node, "ping", &[]);
    stage.node.until_number("/dht/nodes", 1);
    let key = key_of(stage.suite.deb("file0"));
    let told = value(&[peer], &key);
    assert_eq!(told, dict([("c", contact(&stage.node))]));
}

#[test]
fn where_no_node_takes_it_it_is_told_later() {
    let peers = Peer::network(2);
    for peer in &peers {
        peer.behave(Conduct::Refusing("store_value", 201));
    }
    let stage = stage(&[5000], through(&peers));
    fetch(&stage, "file0");
    let key = key_of(stage.suite.deb("file0"));
    let asked = || peers.iter().any(|peer| !peer.stored(&key).is_empty());
    assert!(within(ANNOUNCED, asked), "it was not tried");
    for peer in &peers {
        peer.behave(Conduct::Honest);
    }
    let took = || peers.iter().any(|peer| !peer.kept(&key).is_empty());
    assert!(within(2 * ANNOUNCED, took), "it was not tried again");
}

#[test]
fn the_contact_is_the_address_that_others_see() {
    let peers = Peer::network(5);
    let dht = Dht {
        auto: true,
        ..through(&peers)
    };
    let stage = stage(&[5000], dht);
    fetch(&stage, "file0");
    let told = value(&peers, &key_of(stage.suite.deb("file0")));
    assert_eq!(told.get("c"), Some(&contact(&stage.node)));
}

#[test]
fn one_liar_of_five_does_not_change_the_contact() {
    let peers = Peer::network(5);
    let liar = &peers[0];
    let id = liar.id();
    let nodes: Vec<_> = peers[1..].iter().map(Peer::compact).collect();
    liar.behave(Conduct::Own(std::sync::Arc::new(move |heard| {
        let nodes = crate::kit::bencode::list(&nodes);
        let lie = ("ip_addr", "127.66.66.66".into());
        let values = match heard.method.as_str() {
            "join" => vec![lie, ("port", 66.into())],
            "find_node" => vec![("nodes", nodes), ("token", [1; 20].into())],
            "find_value" => vec![("nodes", nodes), ("num", 0.into())],
            _ => Vec::new(),
        };
        Some(crate::kit::krpc::response(&heard.t, &id, &values))
    })));
    let dht = Dht {
        auto: true,
        ..through(&peers)
    };
    let stage = stage(&[5000], dht);
    fetch(&stage, "file0");
    let told = value(&peers[1..], &key_of(stage.suite.deb("file0")));
    assert_eq!(told.get("c"), Some(&contact(&stage.node)));
}

#[test]
fn what_one_node_of_ours_has_another_finds() {
    let first = stage(&[5000, 3_000_000], Dht::default());
    for package in ["file0", "file1"] {
        fetch(&first, package);
    }
    let join = |node: &Node| {
        Node::with(Config::from(Dht {
            bootstrap: vec![node.dht_addr().to_string()],
            ..Dht::default()
        }))
    };
    let second = join(&first.node);
    let third = join(&second);
    let contact = first.node.peer_addr().to_string();
    for node in [&second, &third] {
        for package in ["file0", "file1"] {
            let hash = crate::kit::sha256(first.suite.deb(package));
            let mut last = String::new();
            let found = within(ANNOUNCED, || {
                let output = node.cli(&["find", &hash]);
                last = String::from_utf8_lossy(&output.stdout).into_owned();
                last.lines().any(|line| line.contains(&contact))
            });
            assert!(found, "{package} is not found: {last:?}");
        }
    }
    let values = second.number("/dht/values") + third.number("/dht/values");
    assert!(values >= 3, "{values} values");
}
