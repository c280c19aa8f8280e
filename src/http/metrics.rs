//! The status as Prometheus reads it.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};

use super::status::Status;

/// The status in `OpenMetrics` text.
pub fn text(status: &Status) -> String {
    let mut registry = Registry::with_prefix("aptmesh");
    let cache = &status.cache;
    let traffic = &status.traffic;
    for (name, help, value) in [
        ("cache_hits", "Requests answered from the cache", cache.hits),
        (
            "cache_misses",
            "Requests that an origin had to answer",
            cache.misses,
        ),
    ] {
        registry.register(name, help, ConstCounter::new(value));
    }
    for (name, help, value) in [
        (
            "from_mirrors",
            "Bytes of bodies from origins",
            traffic.from_mirrors,
        ),
        (
            "from_peers",
            "Bytes of bodies from other nodes",
            traffic.from_peers,
        ),
        (
            "to_clients",
            "Bytes of bodies to apt clients",
            traffic.to_clients,
        ),
        (
            "to_peers",
            "Bytes of bodies to other nodes",
            traffic.to_peers,
        ),
    ] {
        registry.register_with_unit(name, help, Unit::Bytes, ConstCounter::new(value));
    }
    let bytes = |value: u64| ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register_with_unit(
        "cache_size",
        "Bytes of cached bodies",
        Unit::Bytes,
        bytes(cache.bytes),
    );
    registry.register_with_unit(
        "cache_limit",
        "cache.max_size",
        Unit::Bytes,
        bytes(cache.max_bytes),
    );
    registry.register("cache_files", "Cached bodies", bytes(cache.files));
    let index = &status.index;
    for (name, help, value) in [
        ("suites", "Suites with a generation in use", index.releases),
        ("index_files", "Indexes that these list", index.index_files),
        (
            "packages",
            "Files that lists in use vouch for",
            index.packages,
        ),
        ("patches", "Patches known", index.patches),
    ] {
        registry.register(name, help, bytes(value));
    }
    registry.register(
        "downloads",
        "Downloads under way",
        bytes(status.downloads.len() as u64),
    );
    let failing = Family::<Vec<(String, String)>, Gauge<u64, AtomicU64>>::default();
    for mirror in &status.failing_mirrors {
        let labels = vec![("origin".to_owned(), mirror.origin.clone())];
        failing.get_or_create(&labels).set(1);
    }
    registry.register("mirror_failing", "Origins that fail at present", failing);
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = encode(&mut text, &registry);
    text
}
