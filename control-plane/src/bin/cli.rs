//! `bulkhead`: the command line of a fleet.

use bulkhead_control_plane::cli::{self, Arguments};
use clap::Parser as _;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.json;
    match cli::run(arguments).await {
        Ok(output) => {
            print!("{}", output.render(json));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bulkhead: {error}");
            ExitCode::FAILURE
        }
    }
}
