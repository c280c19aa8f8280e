//! The status as Prometheus reads it.

use std::fmt::Debug;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeGaugeValue, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};

use super::status::Status;
use super::status::shape::HealthState;
use crate::clock::Millis;
use crate::db::view::SuiteStatus;
use crate::meter::{Amounts, Kind};

const OPENMETRICS: &str = "application/openmetrics-text";

/// The status as text, in the format that the scraper asks for. Counters tell
/// what rows have: one that goes back is taken for one that began anew, and all
/// of it counts again.
pub fn answer(status: &Status, in_rows: &Amounts, asked: &HeaderMap) -> Response {
    let (kind, text) = if wants_openmetrics(asked) {
        (
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            openmetrics(status, in_rows),
        )
    } else {
        (
            "text/plain; version=0.0.4; charset=utf-8",
            classic(&openmetrics(status, in_rows)),
        )
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    (headers, text).into_response()
}

fn wants_openmetrics(asked: &HeaderMap) -> bool {
    let values = asked.get_all(header::ACCEPT).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_it = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case(OPENMETRICS));
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            is_it && weight.is_none_or(|weight| weight.parse().is_ok_and(|q: f32| q > 0.0))
        })
}

/// The same in the format of before `OpenMetrics`: there a counter is
/// described under its whole name, and units and the end are not told.
fn classic(openmetrics: &str) -> String {
    let counters: Vec<_> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        let comment = ["# HELP ", "# TYPE "]
            .into_iter()
            .find_map(|begin| Some((begin, line.strip_prefix(begin)?.split_once(' ')?)));
        match comment {
            Some((begin, (name, rest))) if counters.contains(&name) => {
                text.extend([begin, name, "_total ", rest, "\n"]);
            }
            None if line.starts_with("# ") => {}
            _ => text.extend([line, "\n"]),
        }
    }
    text
}

fn openmetrics(status: &Status, in_rows: &Amounts) -> String {
    let mut metrics = Metrics(Registry::with_prefix("aptmesh"));
    metrics.node(status);
    metrics.health(status);
    metrics.bytes(status, in_rows);
    metrics.cache(status);
    metrics.index(status);
    metrics.peers(status);
    if !status.dht.address.is_empty() {
        metrics.dht(status);
    }
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = encode(&mut text, &metrics.0);
    text
}

type Labels = Vec<(&'static str, String)>;

fn label(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}

fn count(things: impl Iterator) -> u64 {
    things.count() as u64
}

/// Values of one name, in this order.
#[derive(Debug)]
struct Samples<M>(Vec<(Labels, M)>);

impl<M: EncodeMetric + TypedMetric> EncodeMetric for Samples<M> {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        for (labels, value) in &self.0 {
            // What has no labels has one value.
            if labels.is_empty() {
                return value.encode(encoder);
            }
            value.encode(encoder.encode_family(labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

struct Metrics(Registry);

impl Metrics {
    /// A gauge without labels. Names end with their unit.
    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.gauges(name, help, [(Labels::new(), value)]);
    }

    /// A gauge that is left out where there is nothing to tell.
    fn gauges<N>(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, N)>)
    where
        N: EncodeGaugeValue + Debug + Send + Sync + 'static,
    {
        self.register(name, help, values, ConstGauge::new);
    }

    /// A counter; `_total` is added to its name.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        self.register(name, help, values, ConstCounter::new);
    }

    fn register<N, M>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, N)>,
        metric: fn(N) -> M,
    ) where
        M: EncodeMetric + TypedMetric + Debug + Send + Sync + 'static,
    {
        let values = values.into_iter();
        let samples = Samples(values.map(|(labels, n)| (labels, metric(n))).collect());
        // The registry adds the unit to the name again.
        match name.rsplit_once('_') {
            Some((rest, "bytes")) => {
                self.0.register_with_unit(rest, help, Unit::Bytes, samples);
            }
            Some((rest, "seconds")) => {
                self.0
                    .register_with_unit(rest, help, Unit::Seconds, samples);
            }
            _ => self.0.register(name, help, samples),
        }
    }

    fn node(&mut self, status: &Status) {
        let build = vec![
            ("version", status.version.clone()),
            ("node_id", status.node_id.clone()),
        ];
        self.gauges(
            "build_info",
            "Always 1; the labels tell the release of aptmesh and the id of the node",
            [(build, 1_u64)],
        );
        self.gauge(
            "uptime_seconds",
            "Time since the start",
            status.uptime_seconds,
        );
    }

    fn health(&mut self, status: &Status) {
        const STATES: [(HealthState, &str); 4] = [
            (HealthState::Healthy, "healthy"),
            (HealthState::Notice, "notice"),
            (HealthState::Degraded, "degraded"),
            (HealthState::Failing, "failing"),
        ];
        let health = &status.health;
        self.gauges(
            "health_state",
            "1 for the state that the node is in: degraded: somebody should look; failing: clients do not get something that they ask for",
            STATES
                .into_iter()
                .filter(|(state, _)| *state != HealthState::Notice)
                .map(|(state, name)| (label("state", name), u64::from(health.state == state))),
        );
        let findings = STATES.into_iter().skip(1).map(|(state, name)| {
            let of_state = health.findings.iter().filter(|found| found.state == state);
            (label("state", name), count(of_state))
        });
        self.gauges(
            "health_findings",
            "Things to know of now, by how grave they are (notice: nothing is wrong); the status page tells of each",
            findings,
        );
        let failing = status.failing_mirrors.iter();
        self.gauges(
            "mirror_failing",
            "1 for each origin that fails at present; an origin that answers is not listed",
            failing.map(|mirror| (label("origin", &mirror.origin), 1_u64)),
        );
    }

    fn bytes(&mut self, status: &Status, in_rows: &Amounts) {
        let of = |name, label_of, kind| (label(name, label_of), in_rows.of(kind));
        self.counters(
            "client_bytes",
            "Bytes of bodies sent to apt clients, by where they came from, since the database was made",
            [
                of("source", "cache", Kind::ClientsFromCache),
                of("source", "peers", Kind::ClientsFromPeers),
                of("source", "mirrors", Kind::ClientsFromMirrors),
            ],
        );
        self.counters(
            "client_requests",
            "Requests for files by apt clients: hit: the cache answered; miss: somebody else had to",
            [
                of("result", "hit", Kind::Hits),
                of("result", "miss", Kind::Misses),
            ],
        );
        self.counters(
            "fetched_bytes",
            "Bytes of bodies received, for clients and for the node's own indexes, since the database was made",
            [
                of("source", "peers", Kind::FromPeers),
                of("source", "mirrors", Kind::FromMirrors),
            ],
        );
        self.counters(
            "uploaded_bytes",
            "Bytes of bodies sent to other nodes since the database was made",
            [(Labels::new(), in_rows.of(Kind::ToPeers))],
        );
        self.gauge(
            "downloads",
            "Downloads under way",
            count(status.downloads.iter()),
        );
    }

    fn cache(&mut self, status: &Status) {
        let cache = &status.cache;
        self.gauge("cache_files", "Cached bodies", cache.files);
        self.gauge("cache_size_bytes", "Bytes of cached bodies", cache.bytes);
        self.gauge(
            "cache_limit_bytes",
            "What they may be at most (cache.max_size)",
            cache.max_bytes,
        );
        let free = cache.free_bytes;
        self.gauges(
            "disk_free_bytes",
            "Free on the disk of data_dir; left out where it does not say",
            free.map(|free| (Labels::new(), free)),
        );
        let age = cache.eviction_age_seconds;
        self.gauges(
            "cache_eviction_age_seconds",
            "Time since the file that would be evicted first was last used",
            age.map(|age| (Labels::new(), age)),
        );
    }

    fn index(&mut self, status: &Status) {
        let index = &status.index;
        for (name, help, value) in [
            ("suites", "Suites with a generation in use", index.releases),
            ("index_files", "Indexes that they list", index.index_files),
            (
                "packages",
                "Files that lists in use vouch for",
                index.packages,
            ),
            ("patches", "Patches (pdiffs) known", index.patches),
        ] {
            self.gauge(name, help, value);
        }
        let of_each = |value: fn(&SuiteStatus) -> Option<u64>| {
            let suites = index.suites.iter();
            suites
                .filter_map(|suite| Some((label("folder", &suite.folder), value(suite)?)))
                .collect::<Vec<_>>()
        };
        self.gauges(
            "suite_packages",
            "Files that a suite's lists in use vouch for",
            of_each(|suite| Some(suite.packages)),
        );
        self.gauges(
            "suite_release_timestamp_seconds",
            "Date of the Release in use",
            of_each(|suite| seconds(suite.date)),
        );
        self.gauges(
            "suite_valid_until_timestamp_seconds",
            "Valid-Until of the Release in use; left out where it has none",
            of_each(|suite| seconds(suite.valid_until)),
        );
        self.gauges(
            "suite_asked_timestamp_seconds",
            "When a client last asked for the Release",
            of_each(|suite| seconds(Some(suite.asked_at))),
        );
        self.gauges(
            "suite_taken_up_timestamp_seconds",
            "When the Release in use came into use",
            of_each(|suite| seconds(suite.taken_up_at)),
        );
        self.gauges(
            "suite_stuck",
            "1 where there is a newer generation of a suite that can't be taken up",
            of_each(|suite| Some(suite.stuck_since.is_some().into())),
        );
        self.counters(
            "suite_patches_applied",
            "Patches (pdiffs) by which a suite's lists were brought up to date",
            of_each(|suite| Some(suite.patches_applied)),
        );
        self.gauges(
            "refused_files",
            "Files that origins sent lately and that were not believed, by the reason",
            index
                .refused_files
                .iter()
                .map(|refused| (label("kind", refused.kind.as_str()), refused.files)),
        );
    }

    fn peers(&mut self, status: &Status) {
        let peers = || status.peers.iter();
        self.gauge(
            "peers",
            "Other nodes that were asked for files",
            count(peers()),
        );
        self.gauge(
            "peers_usable",
            "Those with a score above zero",
            count(peers().filter(|peer| peer.score > 0.0)),
        );
        self.gauge(
            "peers_connected",
            "Those with an open connection",
            count(peers().filter(|peer| peer.connected)),
        );
        self.gauge(
            "peers_blamed",
            "Those that sent wrong bytes in the last 24 hours",
            count(peers().filter(|peer| peer.hash_errors_24h > 0)),
        );
        self.gauges(
            "lan_neighbours",
            "Nodes found on the same link; left out where they are not looked for",
            status
                .lan
                .discovering
                .then(|| (Labels::new(), count(status.lan.neighbours.iter()))),
        );
        self.gauge(
            "peer_hash_errors_24h",
            "Times that peers sent wrong bytes in the last 24 hours",
            peers().map(|peer| peer.hash_errors_24h).sum(),
        );
    }

    fn dht(&mut self, status: &Status) {
        let dht = &status.dht;
        for (name, help, value) in [
            ("dht_nodes", "Nodes in the routing table", dht.nodes),
            (
                "dht_confirmed_nodes",
                "Those that are certainly reached from outside",
                dht.confirmed_nodes,
            ),
            (
                "dht_estimated_nodes",
                "Size of the network as estimated",
                dht.estimated_nodes,
            ),
            ("dht_keys", "Keys stored for others", dht.keys),
            ("dht_values", "Values stored for others", dht.values),
            ("dht_lookups", "Lookups under way", dht.lookups),
            (
                "dht_announcements",
                "Files that this node publishes",
                dht.announcements,
            ),
            (
                "dht_announced",
                "Those of them that other nodes keep now",
                dht.announced,
            ),
        ] {
            self.gauge(name, help, value);
        }
        self.gauges(
            "dht_reachable",
            "1 where nodes that were never sent anything reach this one; left out where that can't be told yet",
            dht.reachable
                .map(|reachable| (Labels::new(), u64::from(reachable))),
        );
        let waits = [
            ("first_values", dht.first_values_ms),
            ("complete", dht.complete_ms),
        ];
        #[allow(clippy::cast_precision_loss)]
        let waits = waits.into_iter().filter_map(|(answer, wait)| {
            let wait = wait? as f64 / 1000.0;
            Some((label("answer", answer), wait))
        });
        self.gauges(
            "dht_lookup_median_seconds",
            "From the question to the first values and to the complete answer, the median of the latest finds",
            waits,
        );
        self.counters(
            "dht_bytes",
            "Bytes of packets since the start",
            [
                (label("direction", "received"), dht.bytes_in),
                (label("direction", "sent"), dht.bytes_out),
            ],
        );
    }
}

fn seconds(at: Option<Millis>) -> Option<u64> {
    u64::try_from(at? / 1000).ok()
}

#[cfg(test)]
mod tests;
