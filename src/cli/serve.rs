//! `aptmesh serve`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use sd_notify::NotifyState;

use super::log;
use super::owner::Owner;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::lifecycle::stop_signal;
use crate::node::Node;
use crate::worker::watchdog;

pub(super) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    if let Some(owner) = Owner::behind_root(&config.data_dir) {
        return Err(owner.start_over());
    }
    log::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime can't be started")?;
    let served = runtime.block_on(serve(config));
    // A name that is being resolved would hold up the exit by its time-out.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served.map(|()| ExitCode::SUCCESS)
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let stop = stop_signal().context("signals can't be handled")?;
    let node = Node::start(config, Arc::new(SystemClock)).await?;
    for address in &node.addresses {
        tracing::info!(%address, data_dir = %config.data_dir.display(), "apt is served");
    }
    for address in &node.peer_addresses {
        tracing::info!(%address, "other nodes are served");
    }
    let at: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
    let status = format!("apt is served at {}", at.join(", "));
    notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
    if let Some(limit) = sd_notify::watchdog_enabled() {
        let alive = || notify(&[NotifyState::Watchdog]);
        let core = Arc::clone(&node.core);
        tokio::spawn(watchdog::run(core, limit, alive, stop.clone()));
    }
    let stopping = stop.clone();
    tokio::spawn(async move {
        stopping.cancelled().await;
        tracing::info!("stopping");
        let status = NotifyState::Status("requests under way are finished");
        notify(&[NotifyState::Stopping, status]);
    });
    match node.run(stop).await {
        Ok(()) => Ok(()),
        Err(name) => bail!("{name} ended unasked; the log says why"),
    }
}

/// Tells systemd; without one there is nobody to tell.
fn notify(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}
