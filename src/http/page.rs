//! The status page: the views that its templates (`templates/`) draw a
//! [`Status`] with. Sections have one template each, in `templates/parts`.

mod assets;
mod bars;
mod buckets;
mod chart;
mod figure;
mod hue;
mod piece_map;
#[cfg(test)]
mod tests;
mod text;

use askama::Template;
use axum::http::uri::Authority;

pub use self::assets::{ICON, SCRIPT, STYLE};
use self::bars::Bar;
use self::buckets::Side;
use self::chart::Plot;
use self::figure::figure;
use self::hue::Hues;
use self::piece_map::{MOST_CELLS, PieceMap};
use self::text::{Told, count, date, decimal, latency, rate, size};
use super::status::numbers::VISITORS;
use super::status::shape::{Finding, HealthState, Peer};
use super::status::{Status, shape};
use crate::clock::Millis;
use crate::db::view::SuiteStatus;
use crate::human::{self, duration};
use crate::swarm::score::Properties;

/// Rows of a list that are shown at once; the others unfold.
const ROWS: usize = 25;

/// Those that unfold; what is beyond stands in the JSON.
const MORE: usize = 475;

/// Refusals that the status tells of.
#[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation)]
const REFUSALS: usize = super::status::REFUSALS as usize;

/// The node's address where a request does not name a usable one.
const FALLBACK: &str = "localhost:3142";

/// The status page.
#[derive(Template)]
#[template(path = "status.html")]
pub struct Page<'a> {
    status: &'a Status,
    host: &'a str,
    hours: Plot,
    days: Plot,
    hues: Hues<'a>,
    sides: Vec<Side>,
    /// Bytes a second of the fastest peer.
    fastest: u64,
}

impl<'a> Page<'a> {
    /// The page for somebody who reaches the node as `host`.
    #[must_use]
    pub fn new(status: &'a Status, host: Option<&'a str>) -> Self {
        Self {
            status,
            host: host.filter(|host| usable(host)).unwrap_or(FALLBACK),
            hours: Plot::hours(&status.history.hours),
            days: Plot::days(&status.history.days),
            hues: Hues::of(&status.downloads),
            sides: buckets::sides(&status.dht.buckets),
            fastest: status
                .peers
                .iter()
                .map(|peer| peer.bytes_per_second)
                .max()
                .unwrap_or(0),
        }
    }
}

/// Whether a Host field can be told to others as it stands: nothing that
/// would end the quoted string in apt's configuration.
fn usable(host: &str) -> bool {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    !host.is_empty() && host.bytes().all(safe) && host.parse::<Authority>().is_ok()
}

/// Headline.
impl Page<'_> {
    /// What stands at the top: not what is only worth knowing.
    fn gravest(&self) -> Option<&Finding> {
        let first = self.status.health.findings.first();
        first.filter(|finding| finding.state > HealthState::Notice)
    }

    /// The findings below it.
    fn others(&self) -> &[Finding] {
        let findings = &self.status.health.findings;
        findings
            .get(usize::from(self.gravest().is_some())..)
            .unwrap_or_default()
    }

    fn headline(&self) -> &str {
        match self.gravest() {
            Some(finding) => &finding.sentence,
            None if self.is_unused() => "Nobody has asked for a file yet.",
            None => "Every mirror that was asked lately answers.",
        }
    }

    /// The host without its port.
    fn name(&self) -> &str {
        let port = self.host.rsplit_once(':');
        let port = port.filter(|(_, port)| !port.is_empty() && !port.contains(']'));
        port.map_or(self.host, |(name, _)| name)
    }

    /// Whether other machines would mean themselves by the host.
    fn is_loopback(&self) -> bool {
        let name = self.name();
        name == "localhost" || name == "[::1]" || name.starts_with("127.")
    }

    const fn word(state: HealthState) -> &'static str {
        match state {
            HealthState::Healthy => "Healthy",
            HealthState::Notice => "Notice",
            HealthState::Degraded => "Degraded",
            HealthState::Failing => "Failing",
        }
    }

    const fn class(state: HealthState) -> &'static str {
        match state {
            HealthState::Healthy => "healthy",
            HealthState::Notice => "notice",
            HealthState::Degraded => "degraded",
            HealthState::Failing => "failing",
        }
    }

    /// How many there are, of which no more than `most` are told of.
    fn tally(told: usize, most: usize) -> String {
        if told < most {
            told.to_string()
        } else {
            format!("latest {told}")
        }
    }

    const fn plural(number: u64, one: &'static str, many: &'static str) -> &'static str {
        if number == 1 { one } else { many }
    }

    /// Whether nobody has asked for a file yet.
    fn is_unused(&self) -> bool {
        let all = &self.status.served.all;
        all.hit_ratio().is_none() && all.bytes() == 0
    }
}

/// Savings.
impl Page<'_> {
    /// Bytes to clients that no mirror had to send for this.
    fn saved(&self) -> u64 {
        let all = &self.status.served.all;
        all.from_cache.saturating_add(all.from_peers)
    }

    fn saved_share(&self) -> String {
        Self::percent_or_dash(human::share(self.saved(), self.status.served.all.bytes()))
    }

    fn hit_ratio(hits: u64, misses: u64) -> Option<f64> {
        human::share(hits, hits.saturating_add(misses))
    }

    fn percent_or_dash(share: Option<f64>) -> String {
        share.map_or_else(|| "–".to_owned(), human::percent)
    }
}

/// Times.
impl Page<'_> {
    fn ago(&self, at: Millis) -> Told {
        text::distance(at, self.status.at)
    }

    fn when(at: Option<Millis>) -> Told {
        at.map_or_else(
            || Told::from("no date".to_owned()),
            |at| Told {
                text: text::minute(at),
                title: Some(date(at)),
            },
        )
    }

    fn ago_or(&self, at: Option<Millis>, none: &str) -> Told {
        at.map_or_else(|| Told::from(none.to_owned()), |at| self.ago(at))
    }
}

/// Milliseconds of a lookup.
fn lookup(millis: Option<i64>) -> Told {
    let text = millis.map_or_else(
        || "no lookup yet".to_owned(),
        |millis| format!("{millis} ms"),
    );
    text.into()
}

/// A date without the time of day.
fn day(at: Millis) -> Told {
    text::day(at).into()
}

/// How often something was.
fn times(times: i64) -> Told {
    times.to_string().into()
}

/// Seconds as the two largest units.
fn seconds(seconds: u64) -> Told {
    duration(seconds).into()
}

/// Bytes that are free on the disk.
fn free(bytes: Option<u64>) -> Told {
    bytes.map_or_else(|| "can't be told".to_owned().into(), size)
}

/// Age of what would be evicted first.
fn eviction_age(seconds: Option<u64>) -> Told {
    let text = seconds.map_or_else(|| "nothing yet".to_owned(), duration);
    text.into()
}

/// Whether others reach the node unasked.
fn reachable(reachable: Option<bool>) -> Told {
    let text = match reachable {
        Some(true) => "yes",
        Some(false) => "no",
        None => "can't be told yet",
    };
    text.to_owned().into()
}

/// Whether a connection is open.
fn connected(connected: bool) -> Told {
    let text = if connected { "open" } else { "closed" };
    text.to_owned().into()
}

/// Downloads.
impl Page<'_> {
    /// The last segment of an address.
    fn file_name(url: &str) -> &str {
        let name = url.trim_end_matches('/').rsplit('/').next();
        name.filter(|name| !name.is_empty()).unwrap_or(url)
    }

    /// What comes before it.
    fn folder(url: &str) -> &str {
        let name = Self::file_name(url);
        url.strip_suffix(name).unwrap_or(url)
    }

    fn remaining(download: &shape::Download) -> Option<String> {
        let rest = download.size.checked_sub(download.done)?;
        let pace = download.bytes_per_second;
        (rest > 0 && pace > 0).then(|| duration(rest.div_ceil(pace)))
    }

    /// Those that something is known of, or nothing yet, with their places in
    /// the JSON.
    fn downloads(&self, begun: bool) -> Vec<(usize, &shape::Download)> {
        let is_begun = |download: &shape::Download| {
            download.size > 0 || download.done > 0 || !download.pieces.is_empty()
        };
        let downloads = self.status.downloads.iter().enumerate();
        downloads
            .filter(|(_, download)| is_begun(download) == begun)
            .collect()
    }

    /// The more maps there are, the coarser they are.
    fn piece_map<'a>(&'a self, download: &'a shape::Download) -> Option<PieceMap<'a>> {
        let has_map = |download: &&shape::Download| !download.pieces.is_empty();
        let maps = self.status.downloads.iter().filter(has_map).take(ROWS);
        let most = MOST_CELLS / (maps.count() as u64).max(1);
        PieceMap::of(download, &self.hues, most)
    }
}

/// Peers.
impl Page<'_> {
    /// What each of the five properties counts for the score.
    fn factors(&self, peer: &Peer) -> [f64; 5] {
        #[allow(clippy::cast_possible_truncation)]
        let lag = (peer.lag_seconds * 1000.0).round() as Millis;
        let properties = Properties {
            hash_errors: peer.hash_errors_24h,
            speed: Some(peer.bytes_per_second).filter(|speed| *speed > 0),
            fastest: self.fastest,
            lag: Some(lag).filter(|lag| *lag > 0),
            pending: u32::try_from(peer.pending).unwrap_or(u32::MAX),
            connected: peer.connected,
        };
        properties.factors()
    }
}

/// Suites.
impl Page<'_> {
    /// Where the archive is, without scheme and without the suite's folder.
    fn archive(folder: &str) -> &str {
        let bare = folder.split_once("://").map_or(folder, |(_, rest)| rest);
        bare.split_once("/dists/")
            .map_or(bare, |(archive, _)| archive)
    }

    fn suite_name(suite: &SuiteStatus) -> &str {
        let below = suite.folder.split_once("/dists/");
        below.map_or_else(
            || suite.codename.as_deref().unwrap_or("flat archive"),
            |(_, name)| name.trim_end_matches('/'),
        )
    }

    fn signed_by(suite: &SuiteStatus) -> &'static str {
        match suite.signed.as_str() {
            "good" => "verified",
            "unknown" => "a key that index.keyrings does not have",
            "unsigned" => "nobody",
            _ => "not checked (index.verify is off)",
        }
    }
}
