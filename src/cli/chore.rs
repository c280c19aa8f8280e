//! Chores run here when no daemon holds the data folder, and in the daemon
//! when one does.

use std::sync::Arc;

use anyhow::{Context, bail};
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use indicatif::{ProgressBar, ProgressStyle};

use super::client::{self, Upload};
use super::owner::Owner;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::core::Core;
use crate::http::control::Line;
use crate::node::{StartError, open_core};
use crate::store::disk::OpenError;
use crate::upkeep::Progress;

/// Who does the chore.
pub(super) enum Where {
    /// This process: no daemon runs.
    Here(Arc<Core>),
    /// The daemon.
    Daemon,
}

impl Where {
    /// Finds out by trying to take the data folder's lock. Root leaves the
    /// chore to a daemon of another user, and becomes that user where none
    /// runs: this function does not come back then.
    pub(super) async fn find(config: &Config) -> anyhow::Result<Self> {
        if let Some(owner) = Owner::behind_root(&config.data_dir) {
            return match client::connect(&config.data_dir).await {
                Ok(_) => Ok(Self::Daemon),
                Err(_) => Err(owner.start_over()),
            };
        }
        match open_core(config, Arc::new(SystemClock)).await {
            Ok((core, _)) => Ok(Self::Here(core)),
            Err(StartError::Disk(OpenError::Busy(_))) => Ok(Self::Daemon),
            Err(error) => Err(error.into()),
        }
    }
}

/// A runtime for one command.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime can't be started")
}

/// A bar over bytes; drawn only where a person looks on.
pub(super) fn bar(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec}",
    );
    let bar = ProgressBar::new(0).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Moves a bar.
pub(super) fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.total);
    bar.set_position(progress.done);
}

/// Asks the daemon for a chore and shows its progress until the last line.
pub(super) async fn ask(config: &Config, path: &str, bar: &ProgressBar) -> anyhow::Result<Line> {
    let request = Request::post(path).body(Upload::default())?;
    let response = client::control(&config.data_dir, request).await?;
    last_line(response, |progress| show(bar, progress)).await
}

/// Reads an answer's lines up to its last.
pub(super) async fn last_line(
    response: Response<Incoming>,
    mut progress: impl FnMut(Progress),
) -> anyhow::Result<Line> {
    let tell = |line: &Line| {
        if let Line::Progress(at) = line {
            progress(*at);
        }
    };
    each_line(response, tell).await
}

/// Reads an answer's lines; `tell` hears of all but the last.
pub(super) async fn each_line(
    response: Response<Incoming>,
    mut tell: impl FnMut(&Line),
) -> anyhow::Result<Line> {
    let (mut body, mut text) = (response.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else {
            continue;
        };
        text.extend_from_slice(&bytes);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<_> = text.drain(..=end).collect();
            match serde_json::from_slice(&line).context("the daemon's answer can't be read")? {
                line @ (Line::Progress(_) | Line::Peer(_)) => tell(&line),
                Line::Failed(why) => bail!("{why}"),
                result => return Ok(result),
            }
        }
    }
    bail!("the daemon stopped before it was done")
}
