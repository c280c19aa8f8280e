//! Patches between indexes: cached like any file, and applied to the node's own index.

use crate::kit::{Apt, Config, Diffs, Files, Node, Stage, Suite, full_indexes, until};

const KINDS: [Diffs; 2] = [Diffs::Chained, Diffs::Merged];

/// A suite with patches, a node and a client that know its first generation.
fn known(suite: Suite) -> (Stage, Apt) {
    let stage = Stage::new(suite);
    let apt = stage.client();
    apt.update().expect();
    stage.until_current();
    stage.origin.forget();
    (stage, apt)
}

/// Updates without complaint, to the newest generation.
#[track_caller]
fn update(stage: &Stage, apt: &Apt) {
    apt.update().expect();
    assert_eq!(apt.generation(1), stage.suite.number());
}

#[track_caller]
fn expect_no_full_index(stage: &Stage) {
    let full = full_indexes(&stage.origin);
    assert!(full.is_empty(), "the origin was asked for {full:?}");
}

/// Requests for patches and their indexes that the origin answered.
fn patches_sent(stage: &Stage) -> Vec<String> {
    let seen = stage.origin.all_seen().into_iter();
    let sent = seen.filter(|seen| seen.path.contains(".diff/") && seen.answered == 200);
    sent.map(|seen| seen.path).collect()
}

/// Three generations, one after the other.
fn goes_on(suite: Suite) -> Stage {
    let (mut stage, apt) = known(suite);
    for _ in 0..3 {
        stage.advance();
        update(&stage, &apt);
        stage.until_current();
    }
    let patches = stage.node.number("/index/patches");
    assert!(patches >= 3, "{patches} rows of patches");
    // At least one to each list and generation.
    let row = stage.row().unwrap();
    let applied = row["patches_applied"].as_u64().unwrap();
    assert!(applied >= 3, "{row}");
    stage
}

#[test]
fn patches_alone_keep_the_rows_current() {
    for kind in KINDS {
        expect_no_full_index(&goes_on(Suite::new().diffs(kind)));
    }
}

#[test]
fn without_by_hash_patches_keep_the_rows_current_too() {
    // Here a node may fetch the full index: its name is another generation's tomorrow.
    for kind in KINDS {
        goes_on(Suite::new().diffs(kind).by_hash(false));
    }
}

#[test]
fn several_generations_are_caught_up_with_at_once() {
    for kind in KINDS {
        let (mut stage, apt) = known(Suite::new().diffs(kind));
        for _ in 0..4 {
            stage.advance();
        }
        update(&stage, &apt);
        stage.until_current();
        expect_no_full_index(&stage);
    }
}

#[test]
fn patches_are_cached_like_any_file() {
    for kind in KINDS {
        let (mut stage, first) = known(Suite::new().diffs(kind));
        let second = stage.client();
        second.update().expect();
        stage.advance();
        stage.advance();
        update(&stage, &first);
        stage.until_current();
        stage.node.calm();
        stage.origin.forget();
        update(&stage, &second);
        assert_eq!(patches_sent(&stage), Vec::<String>::new(), "{kind:?}");
        expect_no_full_index(&stage);
    }
}

#[test]
fn lists_that_come_whole_count_no_patches() {
    let (mut stage, apt) = known(Suite::new());
    stage.advance();
    update(&stage, &apt);
    stage.until_current();
    assert_eq!(stage.row().unwrap()["patches_applied"], 0);
}

#[test]
fn patched_rows_outlive_a_restart_and_are_patched_again() {
    let (mut stage, apt) = known(Suite::new().diffs(Diffs::Chained));
    for stop in [Node::stop, Node::kill9] {
        stage.advance();
        update(&stage, &apt);
        stage.until_current();
        stop(&mut stage.node);
        stage.node.launch();
        stage.until_current();
    }
    stage.advance();
    update(&stage, &apt);
    stage.until_current();
    expect_no_full_index(&stage);
}

#[test]
fn a_patched_index_knows_its_packages() {
    let (mut stage, apt) = known(Suite::new().diffs(Diffs::Merged));
    let path = stage.suite.pool_path("fill05");
    let old = stage.suite.deb("fill05").to_vec();
    stage.node.get(&stage.url(&path)).expect(&old);
    stage.node.settle(&stage.url(&path));
    stage.suite.package("fill05", "1.0", b"published again");
    stage.advance();
    let new = stage.suite.deb("fill05").to_vec();
    let before = stage.node.get(&stage.url(&path)).expect(&old);
    assert!(before.is_hit(), "the index does not know it yet");
    update(&stage, &apt);
    until("the republished package", || {
        stage.node.get(&stage.url(&path)).body == new
    });
    apt.download(&["fill05"]).expect();
    expect_no_full_index(&stage);
}

#[test]
fn a_node_that_lags_behind_its_client_fetches_the_patches_between() {
    for kind in KINDS {
        let (mut stage, apt) = known(Suite::new().diffs(kind));
        stage.advance();
        apt.use_proxy(None);
        update(&stage, &apt);
        apt.use_proxy(Some(&stage.node.url()));
        stage.origin.forget();
        stage.advance();
        update(&stage, &apt);
        stage.until_current();
        expect_no_full_index(&stage);
    }
}

/// A node that never saw the suite, and a client with its first generation from elsewhere.
fn newcomer(suite: Suite) -> (Stage, Apt) {
    let stage = Stage::new(suite);
    let apt = stage.direct();
    apt.update().expect();
    apt.use_proxy(Some(&stage.node.url()));
    (stage, apt)
}

#[test]
fn a_node_without_the_old_index_fetches_the_new_one() {
    for kind in KINDS {
        let (mut stage, apt) = newcomer(Suite::new().diffs(kind));
        stage.advance();
        stage.advance();
        update(&stage, &apt);
        stage.until_current();
    }
}

#[test]
fn a_node_whose_bodies_were_wiped_fetches_the_new_index() {
    let (mut stage, apt) = known(Suite::new().diffs(Diffs::Chained));
    stage.node.stop();
    for body in stage.node.bodies() {
        std::fs::remove_file(body).unwrap();
    }
    stage.node.launch();
    stage.advance();
    update(&stage, &apt);
    stage.until_current();
    let other = stage.client();
    update(&stage, &other);
}

/// A second generation whose patch (or index of patches) is spoilt: nobody notices.
fn spoilt(suite: Suite, what: &str, spoil: impl FnOnce(&mut Files, &Files)) -> Stage {
    let (mut stage, apt) = known(suite);
    let first = stage.shown.clone();
    let mut second = stage.suite.publish();
    spoil(&mut second, &first);
    stage.show(&second);
    let ran = apt.update();
    let clean = ran.ok && !ran.text.contains("W: ");
    assert!(clean, "{what}: {}", ran.text);
    assert_eq!(apt.generation(1), 2, "{what}");
    stage.until_current();
    stage.advance();
    update(&stage, &apt);
    stage.until_current();
    stage
}

#[test]
fn a_corrupt_patch_is_refused_and_the_full_index_helps() {
    for kind in KINDS {
        let suite = Suite::new().diffs(kind);
        let stage = spoilt(suite, "corrupt", |second, first| {
            second.rot(first, "-0000.00.gz");
        });
        let row = stage.until_refused("mismatch", ".diff/");
        let origin = row["origin"].as_str().unwrap_or_default();
        assert!(origin.contains(&stage.origin.host()), "{row}");
    }
}

#[test]
fn where_a_patch_is_missing_the_full_index_helps() {
    for kind in KINDS {
        let suite = Suite::new().diffs(kind);
        spoilt(suite, "missing", |second, first| {
            second.lack(first, "-0000.00.gz");
        });
    }
}

#[test]
fn where_the_index_of_patches_is_missing_the_full_index_helps() {
    for by_hash in [true, false] {
        let suite = Suite::new().diffs(Diffs::Chained).by_hash(by_hash);
        spoilt(suite, "no Index", |second, first| {
            second.lack(first, ".diff/Index");
        });
    }
}

#[test]
fn where_the_index_of_patches_is_corrupt_the_full_index_helps() {
    for by_hash in [true, false] {
        let suite = Suite::new().diffs(Diffs::Chained).by_hash(by_hash);
        spoilt(suite, "corrupt Index", |second, first| {
            second.rot(first, ".diff/Index");
        });
    }
}

#[test]
fn an_index_of_patches_without_sense_is_refused_and_the_full_one_helps() {
    let (mut stage, apt) = known(Suite::new().diffs(Diffs::Chained));
    // The Release vouches for it, and apt reads it: it names no hash of anything.
    let text = b"Sense: none\nSHA256-Current: yes\n";
    let path = "main/binary-amd64/Packages.diff/Index";
    stage.suite.replace(path, text);
    stage.advance();
    update(&stage, &apt);
    stage.until_current();
    stage.until_refused("malformed", "/Packages.diff/");
}

#[test]
fn sources_go_on_by_patches_alone() {
    for kind in KINDS {
        let mut stage = Stage::new(Suite::new().sources().diffs(kind));
        let apt = stage.client();
        apt.update().expect();
        let file = stage.url("pool/main/t/tick/tick.dsc");
        let text = |generation: u64| format!("the source of generation {generation}\n");
        stage.node.get(&file).expect(text(1).as_bytes());
        stage.node.settle(&file);
        stage.origin.forget();
        for generation in 2..4 {
            stage.advance();
            let before = stage.node.get(&file);
            let old = text(generation - 1);
            assert!(before.is_hit() && before.body == old.as_bytes(), "{kind:?}");
            apt.update().expect();
            assert_eq!(apt.generation(2), generation);
            until("the source of the new generation", || {
                stage.node.get(&file).body == text(generation).as_bytes()
            });
            stage.node.settle(&file);
        }
        expect_no_full_index(&stage);
    }
}

#[test]
fn contents_go_on_by_patches_alone() {
    for kind in KINDS {
        let mut stage = Stage::new(Suite::new().contents().diffs(kind));
        let apt = stage.client();
        apt.want_contents();
        apt.update().expect();
        stage.until_current();
        stage.origin.forget();
        for generation in 2..4 {
            stage.advance();
            apt.update().expect();
            assert_eq!(apt.generation(2), generation);
        }
        stage.until_current();
        expect_no_full_index(&stage);
    }
}

#[test]
fn patches_come_through_where_signatures_are_required() {
    let config = Config {
        verify: Some("require"),
        ..Config::default()
    };
    let mut stage = Stage::with(Suite::new().diffs(Diffs::Merged), config);
    let apt = stage.client();
    update(&stage, &apt);
    stage.until_current();
    stage.origin.forget();
    stage.advance();
    update(&stage, &apt);
    stage.until_current();
    expect_no_full_index(&stage);
}

#[test]
fn with_the_upstream_gone_an_old_client_still_gets_its_patches() {
    for kind in KINDS {
        let (mut stage, first) = known(Suite::new().diffs(kind));
        let second = stage.client();
        second.update().expect();
        stage.advance();
        update(&stage, &first);
        stage.until_current();
        stage.node.calm();
        stage.origin.close();
        update(&stage, &second);
    }
}
