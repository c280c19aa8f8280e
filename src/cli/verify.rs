//! `aptmesh verify`

use std::process::ExitCode;

use anyhow::bail;

use super::chore::{Where, ask, bar, runtime, show};
use crate::config::Config;
use crate::http::control::Line;
use crate::upkeep::verify::{Verified, verify};

pub(super) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let verified = runtime()?.block_on(everywhere(config))?;
    println!(
        "{} files checked, {} removed",
        verified.checked, verified.removed
    );
    Ok(ExitCode::from(u8::from(verified.removed > 0)))
}

async fn everywhere(config: &Config) -> anyhow::Result<Verified> {
    let bar = bar("verifying");
    let verified = match Where::find(config).await? {
        Where::Here(core) => {
            let verified = verify(&core, |progress| show(&bar, progress)).await?;
            core.db.close().await;
            verified
        }
        Where::Daemon => match ask(config, "/verify", &bar).await? {
            Line::Verified(verified) => verified,
            other => bail!("the daemon answered {other:?}"),
        },
    };
    bar.finish_and_clear();
    Ok(verified)
}
