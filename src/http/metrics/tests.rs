#![allow(clippy::unwrap_used)]
use super::*;
use crate::http::status::shape::Finding;

use std::collections::BTreeSet;

fn accepts(value: &str) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, value.parse().unwrap());
    wants_openmetrics(&headers)
}

/// What a node with much to tell prints.
fn example() -> String {
    let mut in_rows = Amounts::default();
    for (number, kind) in (1..).zip(Kind::ALL) {
        in_rows.add(kind, number << 30);
    }
    openmetrics(&Status::example(), &in_rows)
}

/// Names of the samples in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.split(['{', ' ']).next().unwrap())
        .collect()
}

#[test]
fn figures_come_with_conventional_names_and_labels() {
    let text = example();
    for line in [
        r#"aptmesh_build_info{version="9.9.9",node_id="0123456789abcdef0123456789abcdef01234567"} 1"#,
        "aptmesh_uptime_seconds 273600",
        r#"aptmesh_health_state{state="failing"} 1"#,
        r#"aptmesh_health_state{state="healthy"} 0"#,
        r#"aptmesh_health_findings{state="degraded"} 1"#,
        r#"aptmesh_health_findings{state="notice"} 0"#,
        r#"aptmesh_mirror_failing{origin="http://mirror.example:8080"} 1"#,
        r#"aptmesh_client_bytes_total{source="peers"} 5368709120"#,
        r#"aptmesh_client_requests_total{result="hit"} 7516192768"#,
        r#"aptmesh_fetched_bytes_total{source="mirrors"} 1073741824"#,
        "aptmesh_uploaded_bytes_total 3221225472",
        "aptmesh_cache_eviction_age_seconds 864000",
        r#"aptmesh_suite_valid_until_timestamp_seconds{folder="http://deb.example/debian/dists/bookworm"} 1795500000"#,
        r#"aptmesh_suite_asked_timestamp_seconds{folder="http://deb.example/debian/dists/bookworm"} 1795410000"#,
        r#"aptmesh_suite_patches_applied_total{folder="http://deb.example/debian/dists/bookworm"} 4"#,
        r#"aptmesh_refused_files{kind="mismatch"} 70"#,
        "aptmesh_peers 2",
        "aptmesh_peers_usable 1",
        "aptmesh_peers_blamed 1",
        "aptmesh_peer_hash_errors_24h 4",
        "aptmesh_lan_neighbours 1",
        "aptmesh_dht_reachable 1",
        r#"aptmesh_dht_lookup_median_seconds{answer="first_values"} 0.13"#,
        r#"aptmesh_dht_bytes_total{direction="sent"} 2147483648"#,
    ] {
        assert!(text.lines().any(|said| said == line), "no {line} in {text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn every_figure_is_described_in_both_formats() {
    let openmetrics = example();
    let classic = classic(&openmetrics);
    for text in [&openmetrics, &classic] {
        for name in names(text) {
            let family = if *text == classic {
                name
            } else {
                name.strip_suffix("_total").unwrap_or(name)
            };
            let kind = if name.ends_with("_total") {
                "counter"
            } else {
                "gauge"
            };
            assert!(text.contains(&format!("# HELP {family} ")), "{name}");
            assert!(
                text.contains(&format!("# TYPE {family} {kind}\n")),
                "{name}"
            );
        }
    }
    assert_eq!(names(&classic), names(&openmetrics));
    assert!(!classic.contains("# EOF") && !classic.contains("# UNIT"));
}

#[test]
fn what_nobody_knows_is_left_out() {
    let text = openmetrics(&Status::default(), &Amounts::default());
    for name in [
        "eviction_age",
        "disk_free",
        "dht_",
        "mirror_failing",
        "suite_packages",
    ] {
        assert!(!text.contains(name), "{name} in {text}");
    }
    assert!(text.contains("\naptmesh_client_requests_total{result=\"miss\"} 0\n"));
}

#[test]
fn a_notice_is_no_state() {
    let mut status = Status::default();
    status.health.findings = vec![Finding {
        state: HealthState::Notice,
        ..Finding::default()
    }];
    let text = openmetrics(&status, &Amounts::default());
    for line in [
        r#"aptmesh_health_state{state="healthy"} 1"#,
        r#"aptmesh_health_findings{state="notice"} 1"#,
    ] {
        assert!(text.lines().any(|said| said == line), "no {line} in {text}");
    }
    assert!(!text.contains(r#"health_state{state="notice"}"#), "{text}");
}

#[test]
fn a_label_is_no_way_to_forge_a_line() {
    let mut status = Status::example();
    status.failing_mirrors[0].origin = "a\"} 7\n\\b".to_owned();
    let text = classic(&openmetrics(&status, &Amounts::default()));
    let line = r#"aptmesh_mirror_failing{origin="a\"} 7\n\\b"} 1"#;
    assert!(text.lines().any(|said| said == line), "{text}");
}

#[test]
fn openmetrics_is_for_those_who_ask_for_it() {
    assert!(accepts(
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
    ));
    assert!(accepts("text/plain, Application/OpenMetrics-Text"));
    assert!(!accepts("text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
    assert!(!accepts("application/openmetrics-text;q=0"));
    assert!(!accepts("*/*"));
    assert!(!wants_openmetrics(&HeaderMap::new()));
}

/// A dashboard that asks for a name which nobody prints stays empty for ever.
#[test]
fn rules_and_dashboard_ask_for_what_is_there() {
    let text = example();
    let known = names(&text);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docker/monitoring/");
    for file in ["aptmesh.rules.yml", "aptmesh-dashboard.json"] {
        let source = std::fs::read_to_string(format!("{folder}{file}")).unwrap();
        let mut asked = 0;
        for (at, _) in source.match_indices("aptmesh_") {
            let rest = &source[at..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = &rest[..end.unwrap()];
            assert!(known.contains(name), "{file} asks for {name}");
            asked += 1;
        }
        assert!(asked > 10, "{file} asks for {asked} names only");
    }
    let dashboard = std::fs::read(format!("{folder}aptmesh-dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_slice(&dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() >= 8);
}
