//! What is wrong or worth knowing, in sentences: from what the status tells and a few facts
//! more. Pure, so that every case can be tried.

use std::net::SocketAddr;

use humansize::{BINARY, format_size};

use super::shape::{Finding, Health, HealthState, Status};
use crate::clock::{Millis, to_http_time};
use crate::db::refusal::Refused;
use crate::db::view::SuiteStatus;
use crate::health::Failing;
use crate::router::{Protocol, State};
use crate::skew;

const MINUTE: Millis = 60 * 1000;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

/// Findings of one kind that are told one by one.
const TOLD: usize = 10;

/// A new generation that can't be taken up for so long is no news of this
/// moment any more: an archive that is being changed takes minutes.
const STUCK: Millis = 5 * MINUTE;

/// Of caches of one mirror some are behind others for so long, which clears by
/// itself.
const LAGGING: Millis = 3 * HOUR;

/// A Release may be dated so far ahead of this node's clock.
const AHEAD: Millis = HOUR;

/// A clock that is wrong by so much makes Releases and certificates look as if
/// they were of the future, or long expired.
const FAR_OFF: Millis = DAY;

/// Other nodes may take so long to answer after the start, in seconds.
const JOINING: u64 = 120;

/// An origin that fails at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// What is known of it.
    pub failing: Failing,
    /// Whether its `[[mirror]]` has another upstream that answers.
    pub has_stand_in: bool,
}

/// What is known beside the status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// How far this machine's clock is ahead of those of origins, in
    /// milliseconds; `None` where none told the time.
    pub clock_ahead: Option<Millis>,
    /// Bytes that are to stay free on the disk (`cache.min_free`).
    pub min_free: u64,
    /// Whether there are nodes to join through (`dht.bootstrap`).
    pub has_bootstrap: bool,
    /// Origins that fail.
    pub outages: Vec<Outage>,
    /// Files whose signature was refused, the latest.
    pub refused_signatures: Vec<Refused>,
}

/// What is wrong with a node of this status, the gravest first, and of the
/// same gravity in the order of what it may be the cause of. What `status`
/// holds as health so far does not matter.
#[must_use]
pub fn diagnose(status: &Status, facts: &Facts) -> Health {
    let mut suites: Vec<_> = status.index.suites.iter().collect();
    suites.sort_by(|one, other| one.folder.cmp(&other.folder));
    let now = status.at;
    let mut findings = Vec::new();
    findings.extend(clock(&suites, facts, now));
    findings.extend(disk(status, facts));
    findings.extend(told(signatures(status, facts), "signatures are refused"));
    findings.extend(told(outages(facts, now), "mirrors are unreachable"));
    findings.extend(told(
        stuck(&suites, now),
        "suites can't be brought up to date",
    ));
    findings.extend(told(expired(&suites, now), "suites are past Valid-Until"));
    findings.extend(told(older(&suites, now), "mirrors lag behind"));
    findings.extend(lonely(status, facts));
    findings.extend(unreachable(status));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.state));
    Health {
        state: findings
            .iter()
            .map(|found| found.state)
            .max()
            .filter(|state| *state > HealthState::Notice)
            .unwrap_or_default(),
        findings,
    }
}

fn degraded(sentence: String, advice: &str) -> Finding {
    Finding {
        state: HealthState::Degraded,
        sentence,
        reason: String::new(),
        advice: advice.to_owned(),
    }
}

fn because(reason: &str, finding: Finding) -> Finding {
    Finding {
        reason: reason.trim_end_matches('.').to_owned(),
        ..finding
    }
}

/// The first of many findings of a kind, the gravest before others, and how
/// many more there are.
fn told(mut findings: Vec<Finding>, what: &str) -> Vec<Finding> {
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.state));
    let more = findings.split_off(findings.len().min(TOLD));
    if let Some(state) = more.iter().map(|finding| finding.state).max() {
        findings.push(Finding {
            state,
            sentence: format!("{} more {what}.", more.len()),
            reason: String::new(),
            advice: "Ask for /api/status, which lists all of them.".to_owned(),
        });
    }
    findings
}

fn clock(suites: &[&SuiteStatus], facts: &Facts, now: Millis) -> Option<Finding> {
    let advice = "Set this machine's clock, and keep it right by NTP: timedatectl set-ntp true.";
    if let Some(ahead) = facts.clock_ahead.filter(|ahead| skew::is_wrong(*ahead)) {
        let by = span(ahead);
        let direction = if ahead > 0 { "ahead of" } else { "behind" };
        let sentence = format!("Clock is wrong: it is {by} {direction} the clocks of the mirrors.");
        let mut finding = degraded(sentence, advice);
        if ahead.saturating_abs() > FAR_OFF {
            finding.state = HealthState::Failing;
        }
        return Some(finding);
    }
    let of_future = |suite: &&&SuiteStatus| suite.date.is_some_and(|date| date > now + AHEAD);
    let suite = suites.iter().find(of_future)?;
    let date = at(suite.date?, now);
    let name = name(suite);
    let sentence =
        format!("Clock is wrong, it seems: the Release of {name} is dated {date}, in the future.");
    Some(degraded(sentence, advice))
}

fn disk(status: &Status, facts: &Facts) -> Option<Finding> {
    let free = status.cache.free_bytes?;
    (free < facts.min_free).then(|| {
        let (free, least) = (format_size(free, BINARY), format_size(facts.min_free, BINARY));
        let sentence = format!(
            "Disk is nearly full: {free} are free and {least} are to stay so, new files may not be kept."
        );
        degraded(
            sentence,
            "Make room on the disk of data_dir, or lower cache.min_free.",
        )
    })
}

/// Signatures that were refused in the last day and since the generation in use
/// came.
fn signatures(status: &Status, facts: &Facts) -> Vec<Finding> {
    let in_use = |refused: &Refused| {
        let folders = status.index.suites.iter();
        let folder = refused.url.rsplit_once('/').map(|(folder, _)| folder);
        let mut of = folders.filter(|suite| suite.folder.strip_suffix('/') == folder);
        of.next()
    };
    let mut refusals: Vec<_> = facts.refused_signatures.iter().collect();
    refusals.retain(|refused| {
        let since = in_use(refused).and_then(|suite| suite.taken_up_at);
        status.at.saturating_sub(refused.last_at) < DAY
            && since.is_none_or(|since| since < refused.last_at)
    });
    refusals.sort_by(|one, other| (&one.url, &one.origin).cmp(&(&other.url, &other.origin)));
    let find = |refused: &Refused| {
        let when = at(refused.last_at, status.at);
        let (what, mut state) = (&refused.url, HealthState::Degraded);
        let meanwhile = if in_use(refused).is_some() {
            ", the generation before stays in use"
        } else {
            state = HealthState::Failing;
            ""
        };
        let finding = degraded(
            format!("Signature of {what} refused at {when}{meanwhile}."),
            "Check where it comes from; if it is right, add its archive's key to index.keyrings.",
        );
        because(&refused.reason, Finding { state, ..finding })
    };
    refusals.into_iter().map(find).collect()
}

fn outages(facts: &Facts, now: Millis) -> Vec<Finding> {
    let mut outages: Vec<_> = facts.outages.iter().collect();
    outages.sort_by_key(|outage| (outage.failing.failing_since, &outage.failing.origin));
    let find = |outage: &Outage| {
        let Failing {
            origin, last_error, ..
        } = &outage.failing;
        let since = at(outage.failing.failing_since, now);
        let meanwhile = if outage.has_stand_in {
            "asking its stand-ins"
        } else {
            "serving stored copies"
        };
        let finding = degraded(
            format!("Mirror {origin} unreachable since {since}, {meanwhile}."),
            "Check this machine's network; if the mirror stays away, name another one in upstreams of a [[mirror]].",
        );
        because(last_error, finding)
    };
    outages.into_iter().map(find).collect()
}

fn stuck(suites: &[&SuiteStatus], now: Millis) -> Vec<Finding> {
    let find = |suite: &&SuiteStatus| {
        let since = suite.stuck_since?;
        (now.saturating_sub(since) > STUCK).then(|| {
            let (name, since) = (name(suite), at(since, now));
            let finding = degraded(
                format!("A newer generation of {name} can't be taken up since {since}, the one before stays in use."),
                "Wait for its mirror to get complete; if it does not, name another one in upstreams of a [[mirror]].",
            );
            because(suite.last_error.as_deref().unwrap_or_default(), finding)
        })
    };
    suites.iter().filter_map(find).collect()
}

fn expired(suites: &[&SuiteStatus], now: Millis) -> Vec<Finding> {
    let find = |suite: &&SuiteStatus| {
        let (name, since) = (name(suite), at(suite.expired_at()?, now));
        Some(degraded(
            format!("InRelease of {name} past Valid-Until since {since}, apt may refuse it."),
            "Look for a mirror that is kept up to date; for an archive that ended, set Acquire::Check-Valid-Until \"false\" in apt's configuration.",
        ))
    };
    suites.iter().filter_map(find).collect()
}

fn older(suites: &[&SuiteStatus], now: Millis) -> Vec<Finding> {
    let find = |suite: &&SuiteStatus| {
        let since = suite.older_since?;
        if now.saturating_sub(since) < LAGGING {
            return None;
        }
        let (name, since) = (name(suite), at(since, now));
        Some(degraded(
            format!(
                "The mirror of {name} has sent an older Release than the one in use since {since}."
            ),
            "Wait for it to catch up; if it does not, name another one in upstreams of a [[mirror]].",
        ))
    };
    suites.iter().filter_map(find).collect()
}

fn lonely(status: &Status, facts: &Facts) -> Option<Finding> {
    let dht = &status.dht;
    let is_alone = !dht.address.is_empty() && dht.nodes == 0 && facts.has_bootstrap;
    (is_alone && status.uptime_seconds > JOINING).then(|| {
        degraded(
            "No other node answers, files come from mirrors alone.".to_owned(),
            "Check that UDP gets out of this network, and that dht.bootstrap names nodes that run.",
        )
    })
}

fn unreachable(status: &Status) -> Option<Finding> {
    let address = status.peer_face.addresses.first()?;
    (status.dht.reachable == Some(false)).then(|| {
        let (port, advice) = way_in(status, address.port());
        let finding = degraded(
            format!(
                "Port {port} seems unreachable from outside, other nodes get nothing from this one."
            ),
            &advice,
        );
        Finding {
            state: HealthState::Notice,
            ..finding
        }
    })
}

/// The port that others come to where this node is served at `own`, and what to
/// do for them to get through.
fn way_in(status: &Status, own: u16) -> (u16, String) {
    let router = &status.port_mapping;
    let at = |of| {
        let mut ports = router.ports.iter().filter(|port| port.protocol == of);
        ports.next().map(|port| port.external_port)
    };
    let port = at(Protocol::Tcp).unwrap_or(own);
    let dht = status
        .dht
        .address
        .parse()
        .map_or(own, |dht: SocketAddr| dht.port());
    let gateway = router
        .gateway
        .map_or_else(String::new, |ip| format!(" {ip}"));
    let by_hand = format!("TCP port {own} and UDP port {dht} to this machine");
    let advice = match router.state {
        State::Mapped if at(Protocol::Tcp).is_none() => {
            let error = router.error.as_deref().unwrap_or("no reason given");
            format!(
                "The router{gateway} forwards the DHT's port alone ({error}): forward TCP port {own} to this machine there (peer.listen), or set peer.enabled = false."
            )
        }
        State::Mapped => format!(
            "The router{gateway} does forward it: open TCP port {own} and UDP port {dht} in this machine's firewall, or ask the provider what it blocks."
        ),
        State::DoubleNat => {
            let udp = at(Protocol::Udp).unwrap_or(dht);
            let own = router
                .external_ip
                .map_or_else(String::new, |ip| ip.to_string());
            format!(
                "The router{gateway} forwards it, but has the private address {own} itself: forward TCP port {port} and UDP port {udp} to {own} in the router before it, or ask the provider for a public address."
            )
        }
        State::Unneeded | State::NoGateway => format!(
            "Let TCP port {own} and UDP port {dht} through the firewalls on the way to this machine, or set peer.enabled = false."
        ),
        State::Refused => {
            let error = router.error.as_deref().unwrap_or("no reason given");
            format!(
                "The router{gateway} refuses to forward ports ({error}): allow it there, or forward {by_hand} (peer.listen, dht.listen), or set peer.enabled = false."
            )
        }
        State::Unanswered | State::Searching => format!(
            "Switch on UPnP or NAT-PMP in the router{gateway}, or forward {by_hand} there (peer.listen, dht.listen), or set peer.enabled = false."
        ),
        State::Off => format!(
            "Forward {by_hand} in the router (peer.listen, dht.listen), or set peer.enabled = false."
        ),
    };
    (port, advice)
}

/// A suite as people call it, and where it is.
fn name(suite: &SuiteStatus) -> String {
    let folder = &suite.folder;
    match suite.suite.as_ref().or(suite.codename.as_ref()) {
        Some(name) => format!("{name} ({folder})"),
        None => folder.clone(),
    }
}

/// A span of time without its sign, in the units that matter.
fn span(time: Millis) -> String {
    let minutes = (time.unsigned_abs() / 1000 + 30) / 60;
    let rounded = if minutes > 48 * 60 {
        minutes / 60 * 60
    } else {
        minutes
    };
    humantime::format_duration(std::time::Duration::from_secs(60 * rounded)).to_string()
}

/// The end of the year 9999, after which HTTP has no dates.
const LAST: Millis = 253_402_300_799_000;

/// A point in time: `14:02 UTC` today, else `21 Nov 2026, 14:02 UTC`.
fn at(time: Millis, now: Millis) -> String {
    let date = httpdate::fmt_http_date(to_http_time(time.clamp(0, LAST)));
    // Such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    let part = |range| date.get(range).unwrap_or_default();
    let hour = part(17..22);
    if time.div_euclid(DAY) == now.div_euclid(DAY) {
        format!("{hour} UTC")
    } else {
        format!("{}, {hour} UTC", part(5..16))
    }
}

#[cfg(test)]
mod tests;
