//! `aptmesh gc`

use std::process::ExitCode;

use anyhow::bail;

use super::chore::{Where, ask, bar, runtime, show};
use crate::config::Config;
use crate::http::control::Line;
use crate::human::size;
use crate::upkeep::evict::{Evicted, evict};

pub(super) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let evicted = runtime()?.block_on(everywhere(config))?;
    println!(
        "{} files evicted, {} freed",
        evicted.files,
        size(evicted.bytes)
    );
    Ok(ExitCode::SUCCESS)
}

async fn everywhere(config: &Config) -> anyhow::Result<Evicted> {
    let bar = bar("evicting");
    let evicted = match Where::find(config).await? {
        Where::Here(core) => {
            let evicted = evict(&core, 0, |progress| show(&bar, progress)).await?;
            core.db.close().await;
            evicted
        }
        Where::Daemon => match ask(config, "/gc", &bar).await? {
            Line::Evicted(evicted) => evicted,
            other => bail!("the daemon answered {other:?}"),
        },
    };
    bar.finish_and_clear();
    Ok(evicted)
}
