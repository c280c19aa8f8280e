//! `aptmesh find`

use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context, bail};
use axum::http::Request;
use sha2::{Digest, Sha256};

use super::chore::{each_line, runtime};
use super::client::{Upload, control};
use crate::config::Config;
use crate::debian::naming::{from_hex, to_hex};
use crate::http::control::Line;

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

pub(super) fn run(config: &Config, what: &str) -> anyhow::Result<ExitCode> {
    let sha256: [u8; 32] = match from_hex(what) {
        Some(sha256) => sha256,
        None => hash_of(what)?,
    };
    let peers = runtime()?.block_on(search(config, &sha256))?;
    if peers == 0 {
        eprintln!("aptmesh: no node is known to have {}", to_hex(&sha256));
    }
    Ok(ExitCode::from(u8::from(peers == 0)))
}

fn hash_of(path: &str) -> anyhow::Result<[u8; 32]> {
    let mut file = std::fs::File::open(path)
        .with_context(|| format!("{path} is neither a SHA-256 nor a file that can be read"))?;
    let (mut hasher, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        match file
            .read(&mut chunk)
            .with_context(|| format!("{path} can't be read"))?
        {
            0 => return Ok(hasher.finalize().into()),
            read => hasher.update(&chunk[..read]),
        }
    }
}

/// Prints peers as they are found, and answers how many they were.
async fn search(config: &Config, sha256: &[u8; 32]) -> anyhow::Result<usize> {
    let path = format!("/find/{}", to_hex(sha256));
    let request = Request::get(path).body(Upload::default())?;
    let response = control(&config.data_dir, request).await?;
    let mut peers = 0;
    let end = each_line(response, |line| {
        if let Line::Peer(address) = line {
            peers += 1;
            println!("{address}");
        }
    });
    match end.await? {
        Line::Searched => Ok(peers),
        other => bail!("the daemon answered {other:?}"),
    }
}
