//! The kit's archives are sound: apt by itself, with no node between, does with them what the
//! tests of the node build on.

use crate::kit::{
    Apt, Client, Diffs, Files, Hash, Key, Origin, Packing, Request, Signing, Stage, Suite,
    full_indexes,
};

#[test]
fn apt_takes_every_packing() {
    let packings = [
        Packing::Plain,
        Packing::Xz,
        Packing::Gz,
        Packing::Bz2,
        Packing::Zst,
    ];
    for packing in packings {
        let stage = Stage::new(Suite::new().packings(&[packing]));
        let apt = stage.direct();
        apt.update().expect();
        assert_eq!(apt.generation(1), 1, "{packing:?}");
        apt.download(&["tick", "fill07"]).expect();
    }
}

#[test]
fn apt_asks_by_the_strongest_hash() {
    for hashes in [vec![Hash::Sha256, Hash::Sha512], vec![Hash::Sha512]] {
        let stage = Stage::new(Suite::new().hashes(&hashes));
        stage.direct().update().expect();
        let seen = stage.origin.all_seen();
        assert!(
            seen[1].path.contains("/by-hash/SHA512/"),
            "{}",
            seen[1].path
        );
    }
}

#[test]
fn apt_follows_generations_of_every_kind_of_suite_on_one_connection() {
    let many = || Suite::new().two_components().sources();
    let suites = [
        (many(), 3),
        (many().by_hash(false), 3),
        (Suite::flat(), 1),
        (Suite::new().signing(Signing::Detached), 1),
    ];
    for (suite, indexes) in suites {
        let mut stage = Stage::new(suite);
        let apt = stage.direct();
        for _ in 0..3 {
            stage.origin.forget();
            apt.update().expect();
            assert_eq!(apt.generation(indexes), stage.suite.number());
            assert_eq!(apt.candidate("tick"), stage.suite.number().to_string());
            let seen = stage.origin.all_seen();
            let connection = seen[0].connection;
            assert!(seen.iter().all(|seen| seen.connection == connection));
            stage.advance();
        }
    }
}

#[test]
fn apt_goes_on_by_patches_alone() {
    for kind in [Diffs::Chained, Diffs::Merged] {
        for by_hash in [true, false] {
            let suite = Suite::new().sources().contents().diffs(kind);
            let mut stage = Stage::new(suite.by_hash(by_hash));
            let apt = stage.direct();
            apt.want_contents();
            apt.update().expect();
            stage.origin.forget();
            for _ in 0..2 {
                stage.advance();
                stage.advance();
                apt.update().expect();
                assert_eq!(apt.generation(3), stage.suite.number());
            }
            assert_eq!(full_indexes(&stage.origin), Vec::<String>::new());
        }
    }
}

/// What apt makes of a second generation that is spoilt.
fn spoilt(suite: Suite, spoil: impl FnOnce(&mut Files, &Files)) -> (Stage, Apt, bool) {
    let mut stage = Stage::new(suite);
    let apt = stage.direct();
    apt.update().expect();
    let first = stage.shown.clone();
    let mut second = stage.suite.publish();
    spoil(&mut second, &first);
    stage.show(&second);
    let ran = apt.update();
    let clean = ran.ok && !ran.text.contains("W: ");
    (stage, apt, clean)
}

#[test]
fn apt_falls_back_where_patches_fail() {
    let suite = || Suite::new().diffs(Diffs::Chained).by_hash(false);
    let spoils: [fn(&mut Files); 4] = [
        |files| files.spoil(&files.with("-0000.00.gz")[0]),
        |files| files.remove(&files.with("-0000.00.gz")[0].clone()),
        |files| files.spoil(&files.with(".diff/Index")[0]),
        |files| files.remove(&files.with(".diff/Index")[0].clone()),
    ];
    for spoil in spoils {
        let (stage, apt, clean) = spoilt(suite(), |files, _| spoil(files));
        assert!(clean);
        assert_eq!(apt.generation(1), 2);
        assert_eq!(full_indexes(&stage.origin).len(), 2);
    }
}

#[test]
fn apt_fails_where_generations_are_mixed() {
    for by_hash in [true, false] {
        let suite = || Suite::new().by_hash(by_hash);
        let (.., clean) = spoilt(suite(), |second, first| second.lack(first, "/Packages."));
        assert!(!clean, "missing");
        let (.., clean) = spoilt(suite(), |second, first| second.lag(first, "/Packages."));
        assert!(!clean, "old");
        let (.., clean) = spoilt(suite(), |second, first| second.rot(first, "/Packages."));
        assert!(!clean, "corrupt");
    }
}

#[test]
fn apt_refuses_what_is_signed_badly() {
    for key in [Key::other(), Key::expired(), Key::revoked()] {
        let mut stage = Stage::new(Suite::new());
        stage.suite.sign_by(&[key]);
        stage.advance();
        let good = stage.direct().update();
        assert!(good.text.contains("W: ") || !good.ok, "{}", good.text);
        let own = stage.client_of(key, false).update();
        let usable = own.ok && !own.text.contains("W: ");
        assert_eq!(usable, key.is_usable(), "{}", own.text);
    }
    let mut stage = Stage::new(Suite::new());
    stage.suite.sign_by(&[Key::other(), Key::good()]);
    stage.advance();
    stage.direct().update().expect();
    let (.., clean) = spoilt(Suite::new(), |files, _| files.tamper());
    assert!(!clean, "tampered");
}

#[test]
fn an_origin_flips_between_two_requests() {
    let origin = Origin::start();
    let generation = |number: u8| {
        let mut files = Files::default();
        files.put("a", &[number]);
        files.put("b", &[number]);
        files
    };
    origin.show("/x", &generation(0));
    origin.put("/xx", b"another");
    origin.show_after(3, "/x", &generation(1));
    origin.show_after(1, "/x", &generation(2));
    let port = origin.host().rsplit(':').next().unwrap().parse().unwrap();
    let mut client = Client::connect(port).unwrap();
    let mut get = |path: &str| client.ask(&Request::get(path)).unwrap().body;
    let got: Vec<_> = ["/x/a", "/x/b", "/none", "/x/a", "/x/b"]
        .map(&mut get)
        .into();
    assert_eq!(got, [&[0][..], &[0], b"no such file", &[1], &[2]]);
    assert_eq!(get("/xx"), b"another");
    assert!(!origin.show_now());
    origin.show_after(1, "/x", &generation(3));
    assert!(origin.show_now());
    assert_eq!(get("/x/b"), [3]);
}
