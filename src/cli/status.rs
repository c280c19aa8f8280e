//! `aptmesh status`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use http_body_util::BodyExt;
use humansize::{BINARY, format_size};

use super::{chore, client};
use crate::config::Config;
use crate::http::status::Status;

pub(super) fn run(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let body = chore::runtime()?.block_on(fetch(config))?;
    if json {
        println!("{}", String::from_utf8_lossy(&body));
    } else {
        let status: Status =
            serde_json::from_slice(&body).context("the daemon's answer is not its status")?;
        print!("{}", summary(&status));
    }
    Ok(ExitCode::SUCCESS)
}

async fn fetch(config: &Config) -> anyhow::Result<Vec<u8>> {
    let response = client::ask(&config.apt.listen, "/api/status").await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        bail!(
            "the daemon answered {status}: {}",
            String::from_utf8_lossy(&body).trim_end()
        );
    }
    Ok(body.to_vec())
}

fn summary(status: &Status) -> String {
    let size = |bytes: u64| format_size(bytes, BINARY);
    let (cache, traffic) = (&status.cache, &status.traffic);
    let uptime = humantime::format_duration(Duration::from_secs(status.uptime_seconds));
    let ratio = (cache.hits * 100)
        .checked_div(cache.hits + cache.misses)
        .map_or_else(String::new, |percent| format!(", {percent} % hits"));
    let mut lines = vec![
        format!(
            "aptmesh {}, node {}, up {uptime}",
            status.version, status.node_id
        ),
        format!(
            "cache      {} files, {} of {}",
            cache.files,
            size(cache.bytes),
            size(cache.max_bytes)
        ),
        format!(
            "requests   {} hits, {} misses{ratio}",
            cache.hits, cache.misses
        ),
        format!(
            "traffic    {} from mirrors, {} from peers, {} to clients, {} to peers",
            size(traffic.from_mirrors),
            size(traffic.from_peers),
            size(traffic.to_clients),
            size(traffic.to_peers)
        ),
        format!("downloads  {} under way", status.downloads.len()),
    ];
    let index = &status.index;
    lines.push(format!(
        "index      {} suites, {} indexes, {} packages, {} patches",
        index.releases, index.index_files, index.packages, index.patches
    ));
    let dht = &status.dht;
    if dht.address.is_empty() {
        lines.push("dht        switched off".to_owned());
    } else {
        lines.push(format!(
            "dht        {} nodes known of about {}, {} values kept for others, {} of {} files announced",
            dht.nodes, dht.estimated_nodes, dht.values, dht.announced, dht.announcements
        ));
    }
    let scores = status.peers.iter().filter(|peer| peer.score > 0.0);
    let wrong = status.peers.iter().filter(|peer| peer.hash_errors_24h > 0);
    lines.push(format!(
        "peers      {} known, {} of use now, {} sent wrong bytes in the last 24 h",
        status.peers.len(),
        scores.count(),
        wrong.count()
    ));
    for warning in &status.warnings {
        lines.push(format!("warning    {warning}"));
    }
    for mirror in &status.failing_mirrors {
        lines.push(format!("failing    {}: {}", mirror.origin, mirror.error));
    }
    lines.join("\n") + "\n"
}
