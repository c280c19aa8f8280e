//! The machine's own apt-get, with a real signed archive, through the node.

use crate::kit::{Apt, Archive, Config, Manner, Nginx, Node, Origin, noise};
use std::time::Duration;

/// How apt is pointed at the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Proxy,
    Prefix,
    Mirror,
}

const WAYS: [Way; 3] = [Way::Proxy, Way::Prefix, Way::Mirror];

/// An archive on an origin, a node that knows it as a mirror too.
struct Scene {
    archive: Archive,
    origin: Origin,
    node: Node,
}

impl Scene {
    fn of(archive: Archive) -> Self {
        let origin = Origin::start();
        let mirrors = ["debian", "flat"]
            .map(|name| (format!("my-{name}"), vec![origin.url(&format!("/{name}"))]));
        let node = Node::with(Config {
            mirrors: mirrors.into(),
            ..Config::default()
        });
        let scene = Self {
            archive,
            origin,
            node,
        };
        scene.upload();
        scene
    }

    fn new() -> Self {
        Self::of(Archive::new())
    }

    /// The origin serves what the archive has now.
    fn upload(&self) {
        self.origin.mirror("/debian", &self.archive.path("debian"));
        self.origin.mirror("/flat", &self.archive.path("flat"));
    }

    fn client(&self, way: Way) -> Apt {
        self.client_of(way, &["debian stable main", "flat ./"])
    }

    fn client_of(&self, way: Way, sources: &[&str]) -> Apt {
        let node = self.node.url();
        let base = match way {
            Way::Proxy => self.origin.url("/"),
            Way::Prefix => format!("{node}/{}/", self.origin.host()),
            Way::Mirror => format!("{node}/my-"),
        };
        let lines: Vec<_> = sources
            .iter()
            .map(|source| format!("{base}{source}"))
            .collect();
        let proxy = (way == Way::Proxy).then_some(node.as_str());
        Apt::new(&self.archive.key(), &lines, proxy)
    }

    /// Requests for .debs that the origin answered with a body.
    fn debs_sent(&self) -> usize {
        let seen = self.origin.all_seen();
        seen.iter()
            .filter(|seen| seen.path.contains("/pool/") && seen.answered != 304)
            .count()
    }

    /// Requests for anything that the origin answered with a body.
    fn bodies_sent(&self) -> Vec<String> {
        let seen = self.origin.all_seen().into_iter();
        seen.filter(|seen| matches!(seen.answered, 200 | 206))
            .map(|seen| seen.path)
            .collect()
    }
}

const ALL: [&str; 12] = [
    "hello",
    "libhello1",
    "libodd++6",
    "g++-odd",
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "zeta",
    "eta",
    "theta",
];

/// Update, download and install, twice by two clients: the second has all from the cache.
fn works_and_is_cached(way: Way) {
    let scene = Scene::new();
    let first = scene.client_of(way, &["debian stable main"]);
    first.update().expect();
    first.download(&ALL).expect();
    assert_eq!(first.debs().len(), 12);
    scene.node.until_number("/cache/files", 14);
    assert_eq!(scene.debs_sent(), 12);

    scene.origin.forget();
    let second = scene.client_of(way, &["debian stable main"]);
    second.update().expect();
    second.download(&ALL).expect();
    second.install(&["hello", "g++-odd"]).expect();
    assert_eq!(second.debs().len(), 16);
    assert_eq!(scene.bodies_sent(), Vec::<String>::new());
}

#[test]
fn proxy_form_updates_and_installs_and_the_second_time_from_cache() {
    works_and_is_cached(Way::Proxy);
}

#[test]
fn prefix_form_updates_and_installs_and_the_second_time_from_cache() {
    works_and_is_cached(Way::Prefix);
}

#[test]
fn a_mirror_updates_and_installs_and_the_second_time_from_cache() {
    works_and_is_cached(Way::Mirror);
}

#[test]
fn a_flat_repository_works_in_every_way() {
    let scene = Scene::new();
    for way in WAYS {
        let apt = scene.client_of(way, &["flat ./"]);
        apt.update().expect();
        apt.download(&["hello", "libodd++6"]).expect();
        assert_eq!(apt.debs().len(), 2, "{way:?}");
    }
}

#[test]
fn the_next_generation_is_seen_at_once_with_and_without_by_hash() {
    for by_hash in [true, false] {
        let mut scene = Scene::of(Archive::new().by_hash(by_hash));
        scene.archive.publish();
        scene.upload();
        let apt = scene.client(Way::Proxy);
        apt.update().expect();
        for version in ["2.11-1", "2.12-1", "2.13-1"] {
            scene
                .archive
                .package("hello", version, "libhello1", &noise(7, 12_000));
            scene.archive.publish();
            scene.upload();
            apt.update().expect();
            assert_eq!(apt.candidate("hello"), version);
            apt.forget_debs();
            apt.download(&["hello"]).expect();
        }
        let other = scene.client(Way::Prefix);
        other.update().expect();
        assert_eq!(other.candidate("hello"), "2.13-1");
    }
}

#[test]
fn behind_nginx_the_next_generation_is_seen_and_unchanged_files_are_304() {
    let mut archive = Archive::new();
    let nginx = Nginx::serve(archive.root());
    let node = Node::start();
    let source = format!("http://{}/debian stable main", nginx.host());
    let apt = Apt::new(&archive.key(), &[source], Some(&node.url()));
    apt.update().expect();
    apt.download(&ALL).expect();
    node.until_number("/cache/files", 14);
    nginx.forget();
    apt.update().expect();
    let log = nginx.log();
    assert!(log.iter().all(|line| line.contains(" 304 ")), "{log:#?}");

    archive.package("alpha", "0.2", "", &noise(8, 9000));
    archive.publish();
    apt.update().expect();
    assert_eq!(apt.candidate("alpha"), "0.2");
    apt.download(&["alpha"]).expect();
}

/// With a dead upstream a client that knows the archive, and one that does not, both go on.
fn expect_alive_without_upstream(scene: &Scene, old: &Apt) {
    for client in [old, &scene.client(Way::Proxy)] {
        let update = client.update().expect();
        assert!(
            update.took < Duration::from_secs(5),
            "{:?}: {}",
            update.took,
            update.text
        );
        client.forget_debs();
        client.download(&["hello", "g++-odd"]).expect();
    }
}

fn stale_scene() -> (Scene, Apt) {
    let scene = Scene::new();
    let apt = scene.client(Way::Proxy);
    apt.update().expect();
    apt.download(&ALL).expect();
    scene.node.until_number("/cache/files", 16);
    (scene, apt)
}

#[test]
fn with_the_upstream_gone_apt_still_updates_and_downloads() {
    let (scene, apt) = stale_scene();
    scene.origin.close();
    expect_alive_without_upstream(&scene, &apt);
}

#[test]
fn with_the_upstream_silent_apt_still_updates_and_downloads() {
    let (scene, apt) = stale_scene();
    scene.origin.behave_all(Manner::silent());
    expect_alive_without_upstream(&scene, &apt);
}

#[test]
fn with_the_upstream_at_503_apt_still_updates_and_downloads() {
    let (scene, apt) = stale_scene();
    scene.origin.behave_all(Manner::status(503));
    expect_alive_without_upstream(&scene, &apt);
}

#[test]
fn a_dumb_upstream_serves_apt_well() {
    let mut scene = Scene::new();
    scene.origin.behave_all(Manner::dumb());
    for way in WAYS {
        let apt = scene.client(way);
        apt.update().expect();
        apt.update().expect();
        apt.download(&ALL).expect();
    }
    scene.archive.package("eta", "8-1", "", &noise(9, 5000));
    scene.archive.publish();
    scene.upload();
    let apt = scene.client(Way::Proxy);
    apt.update().expect();
    assert_eq!(apt.candidate("eta"), "8-1");
    apt.download(&["eta"]).expect();
}

#[test]
fn an_upstream_that_cuts_every_first_attempt_serves_apt_well() {
    let scene = Scene::new();
    for package in ALL {
        let path = format!("/debian/{}", scene.archive.pool_path(package));
        scene
            .origin
            .behave(&path, Manner::good().cut_after(9000).times(1));
    }
    let apt = scene.client_of(Way::Proxy, &["debian stable main"]);
    apt.update().expect();
    apt.download(&ALL).expect();
    assert_eq!(apt.debs().len(), 12);
}

#[test]
fn eight_clients_at_once_share_every_download() {
    let scene = Scene::new();
    scene
        .origin
        .behave_all(Manner::good().delay(Duration::from_millis(30)));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let scene = &scene;
            scope.spawn(move || {
                let apt = scene.client_of(Way::Proxy, &["debian stable main"]);
                apt.update().expect();
                apt.download(&ALL).expect();
            });
        }
    });
    assert_eq!(scene.debs_sent(), 12);
}

#[test]
fn a_hundred_and_fifty_small_debs_come_through_one_apt() {
    let archive = Archive::of(150, 50_000);
    let scene = Scene::of(archive);
    let apt = scene.client_of(Way::Proxy, &["debian stable main"]);
    apt.update().expect();
    let names: Vec<String> = (0..150).map(|index| format!("pkg{index:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    apt.download(&names).expect();
    assert_eq!(apt.debs().len(), 150);
    assert_eq!(scene.debs_sent(), 150);
}

#[test]
fn apts_partial_file_is_resumed_through_the_node() {
    let scene = Scene::new();
    let apt = scene.client_of(Way::Proxy, &["debian stable main"]);
    apt.update().expect();
    apt.install(&["theta"]).expect();
    let whole = apt.cut_archive("theta", 5000);
    scene.origin.forget();
    apt.install(&["theta"]).expect();
    assert_eq!(apt.archive("theta"), whole);
    assert_eq!(scene.bodies_sent(), Vec::<String>::new());
}

#[test]
fn packages_are_known_after_a_restart_without_upstream() {
    let (mut scene, apt) = stale_scene();
    scene.origin.close();
    scene.node.kill9();
    scene.node.launch();
    expect_alive_without_upstream(&scene, &apt);
}
