//! `aptmesh import`

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use axum::http::{Request, header};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;

use super::chore::{Where, bar, last_line, runtime};
use super::client::{Upload, control};
use crate::config::Config;
use crate::http::control::Line;
use crate::upkeep::import::{Import, Imported};
use crate::worker::evict;

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

pub(super) fn run(config: &Config, paths: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let packages = packages(paths)?;
    let bar = bar("importing");
    bar.set_length(packages.iter().map(|(_, size)| size).sum());
    let counts = runtime()?.block_on(import_all(config, &packages, &bar))?;
    bar.finish_and_clear();
    println!(
        "{} files imported, {} were here already, {} failed",
        counts.new, counts.known, counts.failed
    );
    Ok(ExitCode::from(u8::from(counts.failed > 0)))
}

#[derive(Default)]
struct Counts {
    new: u64,
    known: u64,
    failed: u64,
}

async fn import_all(
    config: &Config,
    packages: &[(PathBuf, u64)],
    bar: &ProgressBar,
) -> anyhow::Result<Counts> {
    let place = Where::find(config).await?;
    if let Where::Here(core) = &place {
        // It makes the room that the files wait for.
        tokio::spawn(evict::run(Arc::clone(core), CancellationToken::new()));
    }
    let mut counts = Counts::default();
    for (path, size) in packages {
        match import(config, &place, path, *size).await {
            Ok(Imported { new: true }) => counts.new += 1,
            Ok(Imported { new: false }) => counts.known += 1,
            Err(error) => {
                counts.failed += 1;
                bar.suspend(|| {
                    eprintln!("aptmesh: {} was not imported: {error:#}", path.display());
                });
            }
        }
        bar.inc(*size);
    }
    if let Where::Here(core) = place {
        core.db.close().await;
    }
    Ok(counts)
}

async fn import(
    config: &Config,
    place: &Where,
    path: &Path,
    size: u64,
) -> anyhow::Result<Imported> {
    let mut file = File::open(path).map_err(|error| anyhow!(reason(&error)))?;
    match place {
        Where::Here(core) => {
            let mut import = Import::begin(core, size).await?;
            while let Some(bytes) = chunk(&mut file)? {
                import.push(bytes).await?;
            }
            Ok(import.finish().await?)
        }
        Where::Daemon => {
            let chunks = stream::iter(std::iter::from_fn(move || chunk(&mut file).transpose()));
            let chunks = chunks.map(|chunk| chunk.map(Frame::data));
            let request = Request::put("/import")
                .header(header::CONTENT_LENGTH, size)
                .body(Upload::new(StreamBody::new(chunks)))?;
            let response = control(&config.data_dir, request).await?;
            match last_line(response, |_| {}).await? {
                Line::Imported(imported) => Ok(imported),
                other => bail!("the daemon answered {other:?}"),
            }
        }
    }
}

/// Why something can't be read, and what helps where it is a matter of rights:
/// root may have become the data folder's owner.
fn reason(error: &io::Error) -> String {
    let user = rustix::process::geteuid();
    if error.kind() != io::ErrorKind::PermissionDenied || user.is_root() {
        return error.to_string();
    }
    let user = user.as_raw();
    format!(
        "user {user}, who imports, may not read it: let that user, or import as root while the daemon runs"
    )
}

fn unreadable(path: &Path, error: &io::Error) -> anyhow::Error {
    anyhow!("{} can't be read: {}", path.display(), reason(error))
}

fn chunk(file: &mut File) -> io::Result<Option<Bytes>> {
    let mut buffer = Vec::with_capacity(CHUNK);
    file.take(CHUNK as u64).read_to_end(&mut buffer)?;
    Ok(Some(Bytes::from(buffer)).filter(|bytes| !bytes.is_empty()))
}

/// The packages that these paths name, with their sizes. A file that is named
/// is taken at its word; folders are searched for `.deb`, `.udeb` and `.ddeb`.
fn packages(paths: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, u64)>> {
    let mut packages = Vec::new();
    for path in paths {
        let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if metadata.is_dir() {
            search(path, &mut packages)?;
        } else {
            packages.push((path.clone(), metadata.len()));
        }
    }
    Ok(packages)
}

fn search(folder: &Path, packages: &mut Vec<(PathBuf, u64)>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        let extension = path.extension().and_then(|extension| extension.to_str());
        if kind.is_dir() {
            // What one may not read, such as apt's own `partial`, is no reason to stop.
            if let Err(error) = search(&path, packages) {
                eprintln!("aptmesh: {error:#}");
            }
        } else if kind.is_file() && matches!(extension, Some("deb" | "udeb" | "ddeb")) {
            packages.push((path, entry.metadata()?.len()));
        }
    }
    Ok(())
}
