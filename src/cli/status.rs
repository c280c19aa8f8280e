//! `aptmesh status`

mod summary;
mod table;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::{Context, bail};
use axum::http::Request;
use http_body_util::BodyExt;

use super::chore;
use super::client::{self, Upload};
use crate::config::Config;
use crate::http::status::Status;

pub(super) fn run(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    let body = chore::runtime()?.block_on(fetch(config))?;
    if json {
        println!("{}", String::from_utf8_lossy(&body));
    } else {
        let status: Status = serde_json::from_slice(&body).context(
            "the daemon's status can't be read, perhaps it is of another release: `aptmesh status --json` prints it as it is",
        )?;
        let colour = std::io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        print!("{}", summary::text(&status, colour));
    }
    Ok(ExitCode::SUCCESS)
}

/// By the control socket, which is there whoever `apt.allow` lets in and
/// wherever `serve` was told to listen. Who has no right to it, or asks about
/// another user's daemon, asks as apt clients do.
async fn fetch(config: &Config) -> anyhow::Result<Vec<u8>> {
    let request = Request::get("/status").body(Upload::default())?;
    let response = match client::control(&config.data_dir, request).await {
        Ok(response) => response,
        Err(_) => client::ask(&config.apt.listen, "/api/status").await?,
    };
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
