//! `aptmesh check-config`

use std::process::ExitCode;

use crate::config::{Config, Mistakes};

pub(super) fn run(config: Result<Config, Mistakes>) -> ExitCode {
    match config {
        Ok(_) => {
            println!("The configuration is valid.");
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            eprintln!("{mistakes}");
            ExitCode::from(2)
        }
    }
}
