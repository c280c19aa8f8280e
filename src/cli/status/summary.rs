//! The status for a person at a terminal.

use super::table::{
    Side::{Left, Right},
    bar, lines, short,
};
use crate::clock::{Millis, to_http_time};
use crate::db::view::SuiteStatus;
use crate::http::status::Status;
use crate::http::status::shape::{Download, FailingMirror, HealthState, Peer, Split};
use crate::human::{self, duration, size};

/// Peers, downloads and the like that are shown of each kind.
const MOST: usize = 8;
/// Characters of an address.
const NAME: usize = 56;
/// Characters of an error.
const ERROR: usize = 76;
/// Characters of the cache's bar.
const BAR: u64 = 30;

/// Sections, the most urgent first.
pub(super) fn text(status: &Status, colour: bool) -> String {
    let mut text = Text {
        lines: Vec::new(),
        colour,
    };
    text.health(status);
    text.served(status);
    text.cache(status);
    text.downloads(status);
    text.failing(status);
    text.peers(status);
    text.lan(status);
    text.dht(status);
    text.suites(status);
    text.lines.join("\n") + "\n"
}

fn between(from: Millis, to: Millis) -> u64 {
    u64::try_from((to - from) / 1000).unwrap_or(0)
}

fn share(part: u64, whole: u64) -> String {
    human::share(part, whole).map_or_else(|| "-".to_owned(), human::percent)
}

struct Text {
    lines: Vec<String>,
    colour: bool,
}

impl Text {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// A heading after an empty line, and what it says by itself.
    fn section(&mut self, name: &str, says: &str) {
        let name = self.paint("1", name);
        self.lines.push(String::new());
        self.lines
            .push(format!("{name}  {says}").trim_end().to_owned());
    }

    fn health(&mut self, status: &Status) {
        let (word, code) = match status.health.state {
            HealthState::Healthy => ("Healthy", "32"),
            HealthState::Notice => ("Notice", "36"),
            HealthState::Degraded => ("Degraded", "33"),
            HealthState::Failing => ("Failing", "31"),
        };
        let word = self.paint(code, word);
        self.lines.push(format!(
            "{word}: aptmesh {}, node {}, up {}",
            short(&status.version, NAME),
            short(&status.node_id, NAME),
            duration(status.uptime_seconds)
        ));
        for finding in &status.health.findings {
            let sign = if finding.state > HealthState::Notice {
                "!"
            } else {
                "-"
            };
            self.lines
                .push(format!("  {sign} {}", short(&finding.sentence, usize::MAX)));
            for text in [&finding.reason, &finding.advice] {
                if !text.is_empty() {
                    self.lines.push(format!("    {}", short(text, usize::MAX)));
                }
            }
        }
    }

    fn served(&mut self, status: &Status) {
        let served = &status.served;
        self.section("To clients", "");
        let heads = ["", "bytes", "cache", "peers", "mirrors", "requests", "hits"];
        let mut rows = vec![heads.map(str::to_owned)];
        for (name, split) in [
            ("this hour", &served.hour),
            ("day", &served.day),
            ("week", &served.week),
            ("in all", &served.all),
        ] {
            rows.push(of_span(name, split));
        }
        self.lines.extend(lines(
            [Left, Right, Right, Right, Right, Right, Right],
            &rows,
        ));
        let traffic = &status.traffic;
        self.lines.push(format!(
            "  fetched {} from mirrors and {} from peers, sent {} to peers",
            size(traffic.from_mirrors),
            size(traffic.from_peers),
            size(traffic.to_peers)
        ));
    }

    fn cache(&mut self, status: &Status) {
        let cache = &status.cache;
        self.section(
            "Cache",
            &format!(
                "{} {} of {}, {} files",
                bar(cache.bytes, cache.max_bytes, BAR),
                size(cache.bytes),
                size(cache.max_bytes),
                cache.files
            ),
        );
        let oldest = cache.eviction_age_seconds.map_or_else(String::new, |old| {
            format!(
                ", the next to be evicted was last used {} ago",
                duration(old)
            )
        });
        let free = cache
            .free_bytes
            .map_or_else(|| "nobody knows what is".to_owned(), size);
        self.lines
            .push(format!("  {free} free on the disk{oldest}"));
    }

    fn downloads(&mut self, status: &Status) {
        let downloads = &status.downloads;
        self.section("Downloads", &format!("{} under way", downloads.len()));
        let rows: Vec<_> = downloads.iter().take(MOST).map(of_download).collect();
        self.lines.extend(lines([Left, Right, Right, Left], &rows));
        self.more(downloads.len());
    }

    fn failing(&mut self, status: &Status) {
        let failing = &status.failing_mirrors;
        if failing.is_empty() {
            return;
        }
        self.section("Mirrors that fail", "");
        let row = |mirror: &FailingMirror| {
            [
                short(&mirror.origin, NAME),
                format!("for {}", duration(between(mirror.since, status.at))),
                short(&mirror.error, ERROR),
            ]
        };
        let rows: Vec<_> = failing.iter().take(MOST).map(row).collect();
        self.lines.extend(lines([Left, Left, Left], &rows));
        self.more(failing.len());
    }

    fn peers(&mut self, status: &Status) {
        let peers = &status.peers;
        let usable = peers.iter().filter(|peer| peer.score > 0.0).count();
        let blamed: Vec<_> = peers
            .iter()
            .filter(|peer| peer.hash_errors_24h > 0)
            .collect();
        self.section(
            "Peers",
            &format!(
                "{} known, {usable} of use now, {} sent wrong bytes in the last 24 h",
                peers.len(),
                blamed.len()
            ),
        );
        let best = peers.iter().filter(|peer| peer.score > 0.0).take(MOST);
        let unwanted = blamed.into_iter().filter(|peer| peer.score <= 0.0);
        let rows: Vec<_> = best.chain(unwanted.take(MOST)).map(of_peer).collect();
        let sides = [Left, Left, Right, Right, Right, Left];
        self.lines.extend(lines(sides, &rows));
    }

    fn lan(&mut self, status: &Status) {
        let lan = &status.lan;
        let says = match lan.neighbours.len() {
            _ if !lan.discovering => "nodes are not looked for".to_owned(),
            0 => "no node was found yet".to_owned(),
            1 => "1 node".to_owned(),
            nodes => format!("{nodes} nodes"),
        };
        self.section("Local network", &says);
    }

    fn dht(&mut self, status: &Status) {
        let dht = &status.dht;
        if dht.address.is_empty() {
            return self.section("DHT", "switched off");
        }
        let reached = match dht.reachable {
            Some(true) => "reached from outside",
            Some(false) => "not reached from outside",
            None => "nobody knows yet whether it is reached from outside",
        };
        self.section(
            "DHT",
            &format!(
                "{} nodes known of about {}, {reached}",
                dht.nodes, dht.estimated_nodes
            ),
        );
        let found = dht
            .first_values_ms
            .map_or_else(String::new, |ms| format!(", found within {ms} ms"));
        self.lines.push(format!(
            "  {} of {} files announced, {} values kept for others, {}/s{found}",
            dht.announced,
            dht.announcements,
            dht.values,
            size(dht.bytes_per_second)
        ));
        let router = short(&status.port_mapping.told(), usize::MAX);
        self.lines.push(format!("  router: {router}"));
    }

    fn suites(&mut self, status: &Status) {
        let index = &status.index;
        self.section(
            "Suites",
            &format!(
                "{} in use, {} packages, {} patches",
                index.releases, index.packages, index.patches
            ),
        );
        let rows: Vec<_> = index.suites.iter().take(MOST).map(of_suite).collect();
        self.lines.extend(lines([Left, Left, Right, Left], &rows));
        self.more(index.suites.len());
    }

    fn more(&mut self, all: usize) {
        if all > MOST {
            self.lines.push(format!("  and {} more", all - MOST));
        }
    }
}

fn of_span(name: &str, split: &Split) -> [String; 7] {
    let (all, requests) = (split.bytes(), split.hits.saturating_add(split.misses));
    [
        name.to_owned(),
        size(all),
        share(split.from_cache, all),
        share(split.from_peers, all),
        share(split.from_mirrors, all),
        requests.to_string(),
        share(split.hits, requests),
    ]
}

fn of_download(download: &Download) -> [String; 4] {
    let so_far = if download.size == 0 {
        size(download.done)
    } else {
        format!(
            "{} of {}",
            share(download.done, download.size),
            size(download.size)
        )
    };
    [
        short(&download.path, NAME),
        so_far,
        format!("{}/s", size(download.bytes_per_second)),
        format!("from {}", short(&download.source, NAME)),
    ]
}

fn of_peer(peer: &Peer) -> [String; 6] {
    let errors = match peer.hash_errors_24h {
        0 => String::new(),
        1 => "1 hash error".to_owned(),
        count => format!("{count} hash errors"),
    };
    [
        short(&peer.address, NAME),
        format!("score {:.2}", peer.score),
        format!("{}/s", size(peer.bytes_per_second)),
        format!("got {}", size(peer.bytes)),
        format!("sent {}", size(peer.bytes_sent)),
        errors,
    ]
}

fn of_suite(suite: &SuiteStatus) -> [String; 4] {
    let date = suite.date.map_or_else(
        || "no date".to_owned(),
        |date| humantime::format_rfc3339_seconds(to_http_time(date)).to_string(),
    );
    [
        short(&suite.folder, NAME),
        date,
        format!("{} packages", suite.packages),
        suite
            .expired_at()
            .map_or_else(String::new, |_| "past its Valid-Until".to_owned()),
    ]
}

#[cfg(test)]
mod tests;
