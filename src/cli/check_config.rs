//! `aptmesh check-config`

use std::process::ExitCode;

use crate::config::{Config, Mistakes};

pub(super) fn run(config: Result<Config, Mistakes>) -> ExitCode {
    match config {
        Ok(config) => {
            for key in config.reserved_in_use() {
                println!("{key}: valid, but without effect in this release");
            }
            println!("The configuration is valid.");
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            eprintln!("{mistakes}");
            ExitCode::from(2)
        }
    }
}
