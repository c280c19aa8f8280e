//! Who vouches for a suite: `index.verify` and `index.keyrings`, and `Valid-Until`.

use crate::kit::{Config, Files, Key, Signing, Stage, Suite, run, until};
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

const PACKAGES: &str = "main/binary-amd64/Packages.xz";

fn verifying(verify: &'static str) -> Config {
    Config {
        verify: Some(verify),
        ..Config::default()
    }
}

/// A suite whose first generation is signed by these keys.
fn signed(signing: Signing, keys: &[Key]) -> Suite {
    let mut suite = Suite::new().signing(signing);
    suite.sign_by(keys);
    suite
}

/// Waits for the suite's row to say so.
#[track_caller]
fn expect_row(stage: &Stage, word: &str, key: Option<Key>) {
    stage.until_row("signed", word);
    let row = stage.row().unwrap();
    let shown = row["key"].as_str().map(str::to_uppercase);
    let wanted = key.map(|key| key.fingerprint().to_owned());
    assert_eq!(shown, wanted, "{row}");
}

#[test]
fn the_status_shows_which_key_vouched() {
    for verify in ["auto", "require"] {
        for signing in [Signing::Inline, Signing::Detached] {
            let suite = signed(signing, &[Key::good()]);
            let stage = Stage::with(suite, verifying(verify));
            stage.client().update().expect();
            expect_row(&stage, "good", Some(Key::good()));
        }
    }
}

#[test]
fn keyrings_are_files_and_folders_and_armoured() {
    let file = Key::good().file();
    let folder = file.parent().unwrap().to_owned();
    let armoured = tempfile::tempdir().unwrap();
    let mut armour = Command::new("gpg");
    armour
        .env("GNUPGHOME", armoured.path())
        .args(["--quiet", "--enarmor"]);
    let output = run(armour.stdin(File::open(&file).unwrap()));
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.replace("PGP ARMORED FILE", "PGP PUBLIC KEY BLOCK");
    std::fs::write(armoured.path().join("archive.asc"), text).unwrap();
    let missing = PathBuf::from("/nonexistent/keyrings");
    for keyring in [file, folder, armoured.path().to_owned()] {
        let shown = keyring.display().to_string();
        let config = Config {
            keyrings: Some(vec![missing.clone(), Key::other().file(), keyring]),
            ..verifying("require")
        };
        let stage = Stage::with(Suite::new(), config);
        let answer = stage.get("InRelease");
        assert_eq!(answer.status, 200, "{shown}: {}", answer.text());
        expect_row(&stage, "good", Some(Key::good()));
    }
}

#[test]
fn one_known_key_of_several_is_enough() {
    let suite = signed(Signing::Inline, &[Key::other(), Key::good()]);
    let stage = Stage::with(suite, verifying("require"));
    stage.client().update().expect();
    expect_row(&stage, "good", Some(Key::good()));
}

#[test]
fn a_signed_flat_repository_is_verified() {
    let stage = Stage::with(Suite::flat(), verifying("require"));
    let apt = stage.client();
    apt.update().expect();
    apt.download(&["fill05"]).expect();
    expect_row(&stage, "good", Some(Key::good()));
}

#[test]
fn auto_lets_an_unknown_key_pass_and_says_so() {
    for signing in [Signing::Inline, Signing::Detached] {
        let stage = Stage::with(signed(signing, &[Key::other()]), verifying("auto"));
        let apt = stage.client_of(Key::other(), true);
        apt.update().expect();
        stage.until_current();
        expect_row(&stage, "unknown", None);
    }
}

#[test]
fn auto_lets_an_unsigned_suite_pass_and_says_so() {
    let stage = Stage::with(Suite::new().signing(Signing::Unsigned), verifying("auto"));
    stage.get("InRelease").expect_status(404);
    stage.get("Release").expect(stage.bytes("Release"));
    stage.get("Release.gpg").expect_status(404);
    stage.get(PACKAGES).expect(stage.bytes(PACKAGES));
    stage.until_current();
    expect_row(&stage, "unsigned", None);
}

#[test]
fn off_checks_nothing_and_says_so() {
    for keys in [Key::good(), Key::other(), Key::expired()] {
        let mut stage = Stage::with(signed(Signing::Inline, &[keys]), verifying("off"));
        stage.get("InRelease").expect(stage.bytes("InRelease"));
        expect_row(&stage, "unchecked", None);
        let mut next = stage.suite.publish();
        next.tamper();
        stage.show(&next);
        stage.get("InRelease").expect(stage.bytes("InRelease"));
        stage.get(PACKAGES).expect(stage.bytes(PACKAGES));
        stage.until_current();
        expect_row(&stage, "unchecked", None);
    }
}

#[test]
fn the_default_is_auto() {
    let stage = Stage::with(signed(Signing::Inline, &[Key::other()]), Config::default());
    stage.get("InRelease").expect_status(200);
    expect_row(&stage, "unknown", None);
}

/// A suite the node never saw is refused, in a sentence, and remembered as refused.
#[track_caller]
fn refuses(what: &str, verify: &'static str, suite: Suite, change: fn(&mut Files)) {
    let mut stage = Stage::with(suite, verifying(verify));
    let mut files = stage.shown.clone();
    change(&mut files);
    stage.show(&files);
    let inline = stage.shows("InRelease");
    let name = if inline { "InRelease" } else { "Release" };
    let answer = stage.get(name);
    assert_eq!(answer.status, 502, "{what}, {verify}: {}", answer.text());
    assert!(answer.text().contains("sign"), "{what}: {}", answer.text());
    stage.until_refused("signature|malformed", "/dists/stable/");
    let row = stage.row();
    let good = row.is_some_and(|row| row["signed"] == "good");
    assert!(!good, "{what}, {verify}");
    let ran = stage.client().update();
    let clean = ran.ok && !ran.text.contains("W: ");
    assert!(!clean, "{what}, {verify}: {}", ran.text);
}

#[test]
fn require_refuses_what_no_known_key_signed() {
    for signing in [Signing::Inline, Signing::Detached] {
        let by = |key: Key| signed(signing, &[key]);
        refuses("unknown", "require", by(Key::other()), |_| ());
        refuses("expired", "require", by(Key::expired()), |_| ());
        refuses("tampered", "require", by(Key::good()), Files::tamper);
    }
    let unsigned = Suite::new().signing(Signing::Unsigned);
    refuses("unsigned", "require", unsigned, |_| ());
    let noise = |files: &mut Files| files.put("dists/stable/InRelease", b"noise");
    refuses("noise", "require", Suite::new(), noise);
}

#[test]
fn a_revoked_key_vouches_for_nothing() {
    let config = Config {
        keyrings: Some(vec![Key::revoked().file()]),
        ..verifying("require")
    };
    let mut stage = Stage::with(signed(Signing::Inline, &[Key::revoked()]), config);
    stage.get("InRelease").expect_refusal(502, "sign");
    stage.until_refused("signature", "/dists/stable/InRelease");
    stage.node.stop();
    stage
        .node
        .reconfigure(|config| config.verify = Some("auto"));
    stage.node.launch();
    let _either = stage.get("InRelease");
    let row = stage.row();
    assert!(row.is_none_or(|row| row["signed"] != "good"));
}

#[test]
fn an_expired_key_vouches_for_nothing() {
    for verify in ["auto", "require"] {
        let config = Config {
            keyrings: Some(vec![Key::expired().file()]),
            ..verifying(verify)
        };
        let stage = Stage::with(signed(Signing::Inline, &[Key::expired()]), config);
        let answer = stage.get("InRelease");
        assert!(
            verify == "auto" || answer.status == 502,
            "{}",
            answer.status
        );
        let row = stage.row();
        assert!(row.is_none_or(|row| row["signed"] != "good"), "{verify}");
    }
}

#[test]
fn auto_refuses_a_bad_signature_by_a_known_key() {
    for signing in [Signing::Inline, Signing::Detached] {
        let suite = signed(signing, &[Key::good()]);
        refuses("tampered", "auto", suite, Files::tamper);
    }
}

/// After a good generation comes one that does not count: clients go on with the good one, and
/// with the next good one.
fn keeps_the_old(verify: &'static str, signing: Signing, keys: &[Key], change: fn(&mut Files)) {
    let what = format!("{verify}, {signing:?}, {keys:?}");
    let mut config = verifying(verify);
    config.keyrings = Some(vec![Key::good().file(), Key::expired().file()]);
    let mut stage = Stage::with(signed(signing, &[Key::good()]), config);
    let apt = stage.client();
    apt.update().expect();
    stage.suite.sign_by(keys);
    let mut next = stage.suite.publish();
    change(&mut next);
    stage.show(&next);
    for client in [&apt, &stage.client()] {
        client.update().expect();
        assert_eq!(client.generation(1), 1, "{what}");
    }
    stage.until_refused("signature", "/dists/stable/");
    expect_row(&stage, "good", Some(Key::good()));
    stage.suite.sign_by(&[Key::good()]);
    stage.advance();
    until(&format!("the next good generation, {what}"), || {
        apt.update().expect();
        apt.generation(1) == 3
    });
}

#[test]
fn a_tampered_generation_changes_nothing() {
    for verify in ["auto", "require"] {
        for signing in [Signing::Inline, Signing::Detached] {
            keeps_the_old(verify, signing, &[Key::good()], Files::tamper);
        }
    }
}

#[test]
fn a_generation_by_a_key_that_does_not_count_changes_nothing_where_one_is_required() {
    for key in [Key::other(), Key::expired()] {
        for signing in [Signing::Inline, Signing::Detached] {
            keeps_the_old("require", signing, &[key], |_| ());
        }
    }
}

/// The status page and what the JSON says is wrong, as someone who looks sees them.
fn warnings(stage: &Stage) -> (String, Vec<String>) {
    let page = stage.node.get("/").expect_status(200).text();
    (page, stage.node.findings())
}

#[test]
fn past_valid_until_the_status_warns() {
    let mut suite = Suite::new();
    suite.valid_until(SystemTime::now() + Duration::from_secs(5));
    let mut stage = Stage::new(suite);
    stage.client().update().expect();
    stage.until_current();
    assert_eq!(warnings(&stage).1, Vec::<String>::new());
    let row = stage.row().unwrap();
    let end = row["valid_until"].as_i64().unwrap();
    until("its end", || stage.node.status()["at"].as_i64() > Some(end));
    assert_eq!(warnings(&stage).1, Vec::<String>::new(), "nobody asked");
    stage.get("InRelease").expect(stage.bytes("InRelease"));
    until("a warning", || {
        let (page, list) = warnings(&stage);
        let named = list
            .iter()
            .any(|text| text.contains("stable") && text.contains("Valid-Until"));
        named && page.contains("Valid-Until")
    });
    stage
        .suite
        .valid_until(SystemTime::now() + Duration::from_mins(10));
    stage.advance();
    stage.client().update().expect();
    until("the warning's end", || warnings(&stage).1.is_empty());
}

#[test]
fn a_suite_past_valid_until_is_served_with_a_warning() {
    let mut suite = Suite::new();
    suite.valid_until(SystemTime::now() - Duration::from_hours(1));
    let stage = Stage::new(suite);
    stage.get("InRelease").expect(stage.bytes("InRelease"));
    let apt = stage.client();
    apt.add_config("Acquire::Check-Valid-Until \"false\";");
    apt.update().expect();
    until("a warning", || warnings(&stage).1.len() == 1);
    assert!(warnings(&stage).0.contains("Valid-Until"));
}
