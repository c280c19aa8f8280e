//! The `aptmesh` command: parse, run, exit code.

use std::process::ExitCode;

use aptmesh::cli::{Cli, exit_code};
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("aptmesh: {error:#}");
            exit_code(&error)
        }
    }
}
