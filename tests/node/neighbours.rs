//! Several suites of one archive, and several archives on one host.

use crate::kit::{Config, Node, Origin, noise, sha256, until};

const DEB: &str = "pool/main/x/x_1_all.deb";

/// Publishes a suite with this one package; its date is that of the `minute`.
fn publish(origin: &Origin, folder: &str, path: &str, deb: &[u8], minute: u8) {
    let packages = format!(
        "Package: x\nVersion: 1\nArchitecture: all\nFilename: {path}\nSize: {}\nSHA256: {}\n",
        deb.len(),
        sha256(deb)
    );
    let release = format!(
        "Suite: s\nDate: Sat, 10 Jun 2023 09:{minute:02}:00 UTC\nSHA256:\n {} {} main/binary-all/Packages\n",
        sha256(packages.as_bytes()),
        packages.len()
    );
    origin.put(
        &format!("{folder}main/binary-all/Packages"),
        packages.as_bytes(),
    );
    origin.put(&format!("{folder}Release"), release.as_bytes());
}

/// Asks for a suite as a client without signatures does, until its rows are there.
fn update(node: &Node, origin: &Origin, folder: &str, packages: u64) {
    node.get(&origin.url(&format!("{folder}Release")))
        .expect_status(200);
    let list = format!("{folder}main/binary-all/Packages");
    node.get(&origin.url(&list)).expect_status(200);
    node.until_number("/index/packages", packages);
}

#[test]
fn a_neighbour_that_lags_behind_keeps_no_republished_package() {
    let origin = Origin::start();
    let (old, new) = (noise(900, 20_000), noise(901, 20_000));
    let node = Node::start();
    let [one, other] = ["/d/dists/one/", "/d/dists/other/"];
    let deb = format!("/d/{DEB}");
    origin.put(&deb, &old);
    publish(&origin, one, DEB, &old, 1);
    publish(&origin, other, DEB, &old, 1);
    update(&node, &origin, one, 1);
    update(&node, &origin, other, 2);
    node.get(&origin.url(&deb)).expect(&old);
    node.settle(&origin.url(&deb));

    origin.put(&deb, &new);
    publish(&origin, one, DEB, &new, 2);
    update(&node, &origin, one, 2);
    until("the republished package", || {
        node.get(&origin.url(&deb)).body == new
    });
    publish(&origin, other, DEB, &new, 2);
    update(&node, &origin, other, 2);
    until("a hit once all agree", || {
        let answer = node.get(&origin.url(&deb)).expect(&new);
        answer.is_hit() && !answer.cache_status().contains("revalidated")
    });
}

#[test]
fn a_flat_repository_speaks_for_its_own_folder_only() {
    let origin = Origin::start();
    let (good, wrong) = (noise(902, 9000), noise(903, 9000));
    let node = Node::start();
    let deb = format!("/d/{DEB}");
    origin.put(&deb, &good);
    // Its first path seems to start at the host's root, and so would the others.
    let evil = "/~evil/dir/";
    let packages = format!(
        "Package: a\nFilename: ~evil/dir/a.deb\nSize: 9000\nSHA256: {0}\n\n\
         Package: x\nFilename: d/{DEB}\nSize: 9000\nSHA256: {0}\n",
        sha256(&wrong)
    );
    let release = format!(
        "Suite: s\nDate: Sat, 10 Jun 2023 09:00:00 UTC\nSHA256:\n {} {} Packages\n",
        sha256(packages.as_bytes()),
        packages.len()
    );
    origin.put(&format!("{evil}Packages"), packages.as_bytes());
    origin.put(&format!("{evil}Release"), release.as_bytes());
    origin.put(&format!("{evil}a.deb"), &wrong);
    node.get(&origin.url(&format!("{evil}Release")))
        .expect_status(200);
    node.get(&origin.url(&format!("{evil}Packages")))
        .expect_status(200);
    node.until_number("/index/packages", 2);
    node.get(&origin.url(&format!("{evil}a.deb")))
        .expect(&wrong);
    node.get(&origin.url(&deb)).expect(&good);
    node.settle(&origin.url(&deb));
}

#[test]
fn an_inrelease_needs_no_release_beside_it() {
    let origin = Origin::start();
    let node = Node::with(Config {
        verify: Some("off"),
        ..Config::default()
    });
    let folder = "/d/dists/one/";
    publish(&origin, folder, DEB, b"deb", 1);
    node.get(&origin.url(&format!("{folder}Release")))
        .expect_status(200);
    // From now on the pair is asked for too; a broken one spoils nothing.
    let text = |minute: u8| {
        format!(
            "Suite: s\nDate: Sat, 10 Jun 2023 09:{minute:02}:00 UTC\nSHA256:\n {} 0 empty\n",
            sha256(b"")
        )
    };
    let clear = format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{}-----BEGIN PGP SIGNATURE-----\n\nxxxx\n-----END PGP SIGNATURE-----\n",
        text(5)
    );
    origin.put(&format!("{folder}InRelease"), clear.as_bytes());
    origin.put(&format!("{folder}Release"), b"<html>no such thing</html>");
    let inrelease = origin.url(&format!("{folder}InRelease"));
    let first = node.get(&inrelease);
    assert_eq!(first.status, 200, "{}", first.text());
}

#[test]
fn a_release_below_a_suite_is_an_index_like_others() {
    let origin = Origin::start();
    let node = Node::start();
    let folder = "/d/dists/one/";
    let small = "Archive: one\nComponent: main\nArchitecture: all\n";
    let release = format!(
        "Suite: s\nDate: Sat, 10 Jun 2023 09:00:00 UTC\nSHA256:\n {} {} main/binary-all/Release\n",
        sha256(small.as_bytes()),
        small.len()
    );
    origin.put(&format!("{folder}Release"), release.as_bytes());
    origin.put(
        &format!("{folder}main/binary-all/Release"),
        small.as_bytes(),
    );
    node.get(&origin.url(&format!("{folder}Release")))
        .expect_status(200);
    let listed = origin.url(&format!("{folder}main/binary-all/Release"));
    node.get(&listed).expect(small.as_bytes());
    node.settle(&listed);
    assert_eq!(node.status()["index"]["refusals"], serde_json::json!([]));
}
