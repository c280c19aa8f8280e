//! `aptmesh backup`

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use tempfile::NamedTempFile;

use super::chore::{bar, runtime};
use crate::config::Config;
use crate::db::backup::Original;
use crate::human::size;
use crate::store::disk::Disk;

/// How often the bar moves.
const STEP: Duration = Duration::from_millis(100);

/// Copies the database as the user who asks: unlike the daemon, that one may
/// write to where the copy goes.
pub(super) fn run(config: &Config, to: &Path) -> anyhow::Result<ExitCode> {
    let from = Disk::database_below(&config.data_dir);
    if !from.exists() {
        bail!(
            "there is no database in {}: name the data folder by data_dir, as the daemon's configuration does",
            config.data_dir.display()
        );
    }
    let folder = match to.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // Nobody takes half a copy for a whole one: it has no name until it is done.
    let copy = NamedTempFile::new_in(folder)
        .with_context(|| format!("{} can't be written to", folder.display()))?;
    let bar = bar("copying");
    runtime()?
        .block_on(copy_all(&from, copy.path(), &bar))
        .with_context(|| format!("{} could not be copied", from.display()))?;
    bar.finish_and_clear();
    let bytes = copy.as_file().metadata()?.len();
    copy.as_file().sync_all()?;
    copy.persist_noclobber(to).map_err(|refused| {
        let error = refused.error;
        if error.kind() == io::ErrorKind::AlreadyExists {
            anyhow::anyhow!("{} exists already: name another file", to.display())
        } else {
            anyhow::anyhow!("{} can't be written: {error}", to.display())
        }
    })?;
    println!("{} kept in {}", size(bytes), to.display());
    Ok(ExitCode::SUCCESS)
}

async fn copy_all(from: &Path, to: &Path, bar: &ProgressBar) -> anyhow::Result<()> {
    let mut original = Original::open(from).await?;
    bar.set_length(original.size().await?);
    let Some(name) = to.to_str() else {
        bail!("{} is no text: name another folder", to.display());
    };
    let copying = original.copy(name);
    tokio::pin!(copying);
    let mut steps = tokio::time::interval(STEP);
    loop {
        tokio::select! {
            done = &mut copying => return Ok(done?),
            _ = steps.tick() => {
                if let Ok(written) = to.metadata() {
                    bar.set_position(written.len());
                }
            }
        }
    }
}
