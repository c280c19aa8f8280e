#![allow(clippy::unwrap_used)]
use super::*;
use crate::http::status::shape::Finding;

#[test]
fn a_busy_node_is_told_of_at_a_glance() {
    let text = text(&Status::example(), false);
    assert_eq!(text, include_str!("example.txt"), "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "{line}");
        assert_eq!(line, line.trim_end());
    }
}

#[test]
fn an_empty_node_has_a_summary_too() {
    let text = text(&Status::default(), false);
    assert!(text.starts_with("Healthy: aptmesh "), "{text}");
    assert!(text.contains("Downloads  0 under way"), "{text}");
    assert!(text.contains("DHT  switched off"), "{text}");
    assert!(
        text.contains("Local network  nodes are not looked for"),
        "{text}"
    );
    assert!(!text.contains("Mirrors that fail"), "{text}");
}

#[test]
fn a_notice_is_told_of_a_healthy_node() {
    let mut status = Status::default();
    status.health.findings = vec![Finding {
        state: HealthState::Notice,
        sentence: "A door is shut.".to_owned(),
        ..Finding::default()
    }];
    let text = text(&status, false);
    assert!(text.starts_with("Healthy: aptmesh "), "{text}");
    assert!(text.contains("\n  - A door is shut.\n"), "{text}");
}

#[test]
fn what_nobody_asks_for_is_not_past_its_end() {
    let mut status = Status::example();
    let suite = &mut status.index.suites[0];
    suite.valid_until = Some(suite.asked_at);
    assert!(!text(&status, false).contains("past its Valid-Until"));
    status.index.suites[0].asked_at += 1;
    assert!(text(&status, false).contains("past its Valid-Until"));
}

#[test]
fn colour_is_only_for_those_who_want_it() {
    let status = Status::example();
    assert!(!text(&status, false).contains('\x1b'));
    assert!(text(&status, true).starts_with("\x1b[31mFailing\x1b[0m: "));
}

#[test]
fn a_peer_does_not_write_to_the_terminal() {
    let mut status = Status::example();
    status.failing_mirrors[0].error = "\x1b]0;gotcha\x07\nHealthy".to_owned();
    status.downloads[0].path = "a\x1b[2Jb".to_owned();
    let text = text(&status, false);
    assert!(!text.contains(['\x1b', '\x07']), "{text}");
    assert!(!text.lines().any(|line| line == "Healthy"), "{text}");
}

#[test]
fn the_status_of_another_release_is_read() {
    let bare = r#"{"version": "9", "surprise": [1], "cache": {"files": 3},
        "health": {"state": "degraded", "findings": [{"sentence": "A thing is wrong."}]},
        "index": {"suites": [{"folder": "http://a.example/dists/b"}]},
        "peers": [{"address": "192.0.2.1:9977"}], "downloads": [{"path": "x", "new": null}],
        "history": {"hours": [{"at": 1}]}}"#;
    let status: Status = serde_json::from_str(bare).unwrap();
    let text = text(&status, false);
    for part in [
        "Degraded: aptmesh 9",
        "A thing is wrong.",
        "3 files",
        "http://a.example/dists/b",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    serde_json::from_str::<Status>("{}").unwrap();
}

#[test]
fn shares_are_those_of_the_page() {
    let mut status = Status::example();
    status.served.week.from_mirrors = 1;
    let text = text(&status, false);
    let week = text.lines().find(|line| line.contains(" week ")).unwrap();
    assert!(week.contains(" <1 %"), "{week}");
}
