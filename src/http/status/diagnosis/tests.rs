#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

use super::*;
use crate::db::refusal::Kind;
use crate::http::status::shape::{MappedPort, PortMapping};
use crate::router::{Protocol, State};

/// Mon, 23 Nov 2026 14:02:00 GMT.
const NOW: Millis = 1_795_442_520_000;
const FOLDER: &str = "http://o/debian/dists/stable/";

/// A node that is well, with one suite in use.
fn well() -> (Status, Facts) {
    let suite = SuiteStatus {
        folder: FOLDER.to_owned(),
        suite: Some("stable".to_owned()),
        date: Some(NOW - DAY),
        valid_until: Some(NOW + DAY),
        taken_up_at: Some(NOW - HOUR),
        ..SuiteStatus::default()
    };
    let mut status = Status {
        at: NOW,
        uptime_seconds: 3600,
        ..Status::default()
    };
    status.index.suites.push(suite);
    status.cache.free_bytes = Some(10 << 30);
    status.peer_face.addresses = vec!["[::]:9977".parse().unwrap()];
    status.dht.address = "[::]:9977".to_owned();
    status.dht.nodes = 20;
    status.dht.reachable = Some(true);
    let facts = Facts {
        clock_ahead: Some(2000),
        min_free: 1 << 30,
        has_bootstrap: true,
        outages: Vec::new(),
        refused_signatures: Vec::new(),
    };
    (status, facts)
}

/// The only finding.
#[track_caller]
fn only((status, facts): (Status, Facts)) -> (HealthState, String) {
    let health = diagnose(&status, &facts);
    let [finding] = &health.findings[..] else {
        panic!("{health:?}");
    };
    let is_grave = finding.state > HealthState::Notice;
    assert_eq!(health.state == finding.state, is_grave);
    assert_eq!(health.state == HealthState::Healthy, !is_grave);
    assert!(finding.sentence.ends_with('.') && finding.advice.ends_with('.'));
    (finding.state, finding.sentence.clone())
}

/// Why, of the only finding.
#[track_caller]
fn why((status, facts): (Status, Facts)) -> String {
    let mut health = diagnose(&status, &facts);
    assert_eq!(health.findings.len(), 1);
    health.findings.remove(0).reason
}

fn is_well((status, facts): (Status, Facts)) -> bool {
    diagnose(&status, &facts) == Health::default()
}

fn suite(change: impl FnOnce(&mut SuiteStatus)) -> (Status, Facts) {
    let (mut status, facts) = well();
    change(&mut status.index.suites[0]);
    (status, facts)
}

fn outage(origin: &str, since: Millis) -> Outage {
    Outage {
        failing: Failing {
            origin: origin.to_owned(),
            failures: 3,
            not_before: NOW + 4000,
            last_error: format!("{origin} can't be reached: Connection refused"),
            failing_since: since,
        },
        has_stand_in: false,
    }
}

fn refused(url: &str, last_at: Millis) -> Refused {
    Refused {
        kind: Kind::Signature,
        url: url.to_owned(),
        origin: "http://o".to_owned(),
        reason: "its signature is bad".to_owned(),
        times: 1,
        last_at,
    }
}

#[test]
fn a_node_that_is_well_has_no_findings() {
    assert!(is_well(well()));
    assert!(is_well((Status::default(), Facts::default())));
}

#[test]
fn a_mirror_that_fails() {
    let (status, mut facts) = well();
    facts.outages.push(outage("http://o", NOW - HOUR));
    let text = "Mirror http://o unreachable since 13:02 UTC, serving stored copies.";
    let case = (status, facts);
    assert_eq!(
        why(case.clone()),
        "http://o can't be reached: Connection refused"
    );
    assert_eq!(only(case.clone()), (HealthState::Degraded, text.to_owned()));

    let (status, mut facts) = case;
    facts.outages[0].has_stand_in = true;
    facts.outages[0].failing.failing_since = NOW - 15 * HOUR;
    let (_, text) = only((status.clone(), facts.clone()));
    assert!(
        text.contains("since 22 Nov 2026, 23:02 UTC, asking its stand-ins"),
        "{text}"
    );
}

#[test]
fn of_many_mirrors_ten_are_named() {
    let (status, mut facts) = well();
    facts.outages = (0..13)
        .map(|number| outage(&format!("http://{number}"), NOW - number))
        .collect();
    let health = diagnose(&status, &facts);
    assert_eq!(health.findings.len(), 11);
    assert!(health.findings[0].sentence.contains("http://12 "));
    assert_eq!(
        health.findings[10].sentence,
        "3 more mirrors are unreachable."
    );
}

#[test]
fn a_clock_that_is_wrong() {
    for (ahead, state, by) in [
        (HOUR, HealthState::Degraded, "1h ahead of"),
        (-7 * MINUTE, HealthState::Degraded, "7m behind"),
        (-(40 * DAY + MINUTE), HealthState::Failing, "behind"),
        (Millis::MIN, HealthState::Failing, "behind"),
    ] {
        let (status, mut facts) = well();
        facts.clock_ahead = Some(ahead);
        let (found, text) = only((status, facts));
        assert_eq!(found, state);
        assert!(text.starts_with("Clock is wrong: it is "), "{text}");
        assert!(text.contains(by), "{text}");
    }
    let (status, mut facts) = well();
    facts.clock_ahead = Some(-5 * MINUTE);
    assert!(is_well((status, facts)));
}

#[test]
fn a_release_of_the_future() {
    assert!(is_well(suite(|suite| suite.date = Some(NOW + HOUR))));
    let (state, text) = only(suite(|suite| suite.date = Some(NOW + 2 * HOUR)));
    assert_eq!(state, HealthState::Degraded);
    assert!(
        text.starts_with("Clock is wrong") && text.contains("16:02 UTC"),
        "{text}"
    );
}

#[test]
fn a_release_past_valid_until() {
    let case = |until: Millis| {
        suite(|suite| {
            suite.valid_until = Some(until);
            suite.asked_at = NOW - 30_000;
        })
    };
    assert!(is_well(case(NOW)));
    // Nobody asked since.
    assert!(is_well(case(NOW - 30_000)));
    let (state, text) = only(case(NOW - MINUTE));
    assert_eq!(state, HealthState::Degraded);
    let start =
        "InRelease of stable (http://o/debian/dists/stable/) past Valid-Until since 14:01 UTC";
    assert!(text.starts_with(start), "{text}");
    // A date that no calendar has is none that anything breaks on.
    only(case(Millis::MIN));
}

#[test]
fn a_signature_that_is_refused() {
    let case = |url: &str, at| {
        let (status, mut facts) = well();
        facts.refused_signatures.push(refused(url, at));
        (status, facts)
    };
    let of_suite = format!("{FOLDER}InRelease");
    let (state, text) = only(case(&of_suite, NOW - MINUTE));
    assert_eq!(state, HealthState::Degraded);
    assert!(
        text.contains("refused at 14:01 UTC, the generation before stays"),
        "{text}"
    );
    assert_eq!(why(case(&of_suite, NOW - MINUTE)), "its signature is bad");
    // A generation came into use since.
    assert!(is_well(case(&of_suite, NOW - HOUR)));
    // Of what was refused there is nothing in use, although its parent is a suite.
    let other = format!("{FOLDER}updates/InRelease");
    let (state, _) = only(case(&other, NOW - 2 * HOUR));
    assert_eq!(state, HealthState::Failing);
    assert!(is_well(case(&other, NOW - DAY)));
}

#[test]
fn a_generation_that_can_not_be_taken_up() {
    assert!(is_well(
        suite(|suite| suite.stuck_since = Some(NOW - STUCK))
    ));
    let case = suite(|suite| {
        suite.stuck_since = Some(NOW - HOUR);
        suite.last_error = Some("main/Packages: it is not there.".to_owned());
    });
    let (_, text) = only(case.clone());
    assert!(text.contains("since 13:02 UTC"), "{text}");
    assert_eq!(why(case), "main/Packages: it is not there");
}

#[test]
fn a_mirror_that_lags_behind() {
    let case = |since| suite(|suite| suite.older_since = Some(since));
    // Some of its caches may.
    assert!(is_well(case(NOW - LAGGING + 1)));
    let (_, text) = only(case(NOW - LAGGING));
    assert!(
        text.contains("older Release") && text.contains("11:02 UTC"),
        "{text}"
    );
}

#[test]
fn a_disk_that_is_nearly_full() {
    let (mut status, facts) = well();
    status.cache.free_bytes = Some(facts.min_free);
    assert!(is_well((status.clone(), facts.clone())));
    status.cache.free_bytes = None;
    assert!(is_well((status.clone(), facts.clone())), "nobody knows");
    status.cache.free_bytes = Some(512 << 20);
    let (_, text) = only((status, facts));
    assert!(text.contains("512 MiB are free and 1 GiB"), "{text}");
}

#[test]
fn nobody_answers() {
    let (mut status, mut facts) = well();
    status.dht.nodes = 0;
    let (_, text) = only((status.clone(), facts.clone()));
    assert!(text.starts_with("No other node answers"), "{text}");
    status.uptime_seconds = JOINING;
    assert!(is_well((status.clone(), facts.clone())));
    status.uptime_seconds = 3600;
    facts.has_bootstrap = false;
    assert!(is_well((status.clone(), facts.clone())));
    facts.has_bootstrap = true;
    status.dht.address = String::new();
    assert!(is_well((status, facts)));
}

#[test]
fn a_port_that_nobody_reaches() {
    let (mut status, facts) = well();
    status.dht.reachable = Some(false);
    let (state, text) = only((status.clone(), facts.clone()));
    assert_eq!(state, HealthState::Notice);
    assert!(
        text.starts_with("Port 9977 seems unreachable from outside"),
        "{text}"
    );
    status.peer_face.addresses.clear();
    assert!(is_well((status.clone(), facts.clone())));
    let (mut status, _) = well();
    status.dht.reachable = None;
    assert!(is_well((status, facts)));
}

#[test]
fn what_to_do_about_a_port_depends_on_the_router() {
    let advice = |state: State| {
        let (mut status, facts) = well();
        status.dht.reachable = Some(false);
        status.dht.address = "[::]:9988".to_owned();
        status.port_mapping = PortMapping {
            state,
            gateway: Some([192, 168, 1, 1].into()),
            external_ip: Some([100, 64, 0, 9].into()),
            error: Some("UPnP: error 501".to_owned()),
            ..PortMapping::default()
        };
        if state.is_mapped() {
            status.port_mapping.ports = [(Protocol::Tcp, 9977, 4001), (Protocol::Udp, 9988, 4002)]
                .map(|(protocol, internal_port, external_port)| MappedPort {
                    protocol,
                    internal_port,
                    external_port,
                    expires_at: None,
                })
                .to_vec();
        }
        let finding = diagnose(&status, &facts).findings.remove(0);
        format!("{} {}", finding.sentence, finding.advice)
    };
    for (state, parts) in [
        (
            State::Off,
            ["Port 9977 ", "Forward TCP port 9977 and UDP port 9988"],
        ),
        (
            State::Unanswered,
            [
                "Switch on UPnP or NAT-PMP in the router 192.168.1.1",
                "TCP port 9977 and UDP port 9988",
            ],
        ),
        (
            State::Refused,
            [
                "The router 192.168.1.1 refuses to forward ports (UPnP: error 501)",
                "TCP port 9977 and UDP port 9988",
            ],
        ),
        (
            State::Mapped,
            [
                "Port 4001 ",
                "open TCP port 9977 and UDP port 9988 in this machine's firewall",
            ],
        ),
        (
            State::DoubleNat,
            [
                "Port 4001 ",
                "forward TCP port 4001 and UDP port 4002 to 100.64.0.9",
            ],
        ),
        (State::Unneeded, ["Port 9977 ", "through the firewalls"]),
    ] {
        let text = advice(state);
        for part in parts {
            assert!(text.contains(part), "{state:?}: {text}");
        }
    }
}

proptest! {
    #[test]
    fn the_gravest_comes_first_whatever_the_order_of_the_facts(
        ahead in -3 * DAY..3 * DAY,
        free in 0..2_u64 << 30,
        refusals in subsequence(vec!["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"], 0..=12),
        outages in 0..14_i64,
        turn in any::<Index>(),
        reachable in any::<Option<bool>>(),
    ) {
        let (mut status, mut facts) = well();
        facts.clock_ahead = Some(ahead);
        status.cache.free_bytes = Some(free);
        status.dht.reachable = reachable;
        let parts = refusals.iter().map(|name| refused(&format!("http://{name}/InRelease"), NOW));
        facts.refused_signatures = parts.collect();
        facts.refused_signatures.push(refused(&format!("{FOLDER}InRelease"), NOW));
        facts.outages = (0..outages).map(|number| outage(&format!("http://{number}"), NOW - number / 3)).collect();
        let health = diagnose(&status, &facts);
        let states: Vec<_> = health.findings.iter().map(|finding| finding.state).collect();
        prop_assert!(states.is_sorted_by(|one, other| one >= other));
        let gravest = states.first().filter(|state| **state != HealthState::Notice);
        prop_assert_eq!(health.state, gravest.copied().unwrap_or_default());
        prop_assert!(states.iter().all(|state| *state > HealthState::Healthy));
        let refusals = facts.refused_signatures.len();
        facts.refused_signatures.rotate_left(turn.index(refusals));
        facts.outages.reverse();
        prop_assert_eq!(diagnose(&status, &facts), health);
    }
}

#[test]
fn a_router_that_forwards_the_dht_alone_is_told_of() {
    let (mut status, facts) = well();
    status.dht.reachable = Some(false);
    status.port_mapping = PortMapping {
        state: State::Mapped,
        gateway: Some([192, 168, 1, 1].into()),
        error: Some("PCP: no resources".to_owned()),
        ports: vec![MappedPort {
            protocol: Protocol::Udp,
            internal_port: 9977,
            external_port: 9977,
            expires_at: None,
        }],
        ..PortMapping::default()
    };
    let advice = diagnose(&status, &facts).findings.remove(0).advice;
    let told = "forwards the DHT's port alone (PCP: no resources): forward TCP port";
    assert!(advice.contains(told), "{advice}");
}
