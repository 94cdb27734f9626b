//! `bulkhead blueprint`: what a blueprint's file says, its hash, and the form of it that Terraform reads. Needs no control plane.

use super::{CliError, Output, output::facts};
use bulkhead_model::{Blueprint, blueprint::Redundancy};
use clap::Subcommand;
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Checks a blueprint and shows what a cell of it is.
    #[command(after_help = "Example: bulkhead blueprint show blueprints/aws-small.toml")]
    Show {
        /// The blueprint's file.
        file: PathBuf,
    },
    /// Prints the canonical form: its SHA-256 is the blueprint's hash, and Terraform decodes it.
    #[command(after_help = "Example: bulkhead blueprint canonical blueprints/aws-small.toml")]
    Canonical {
        /// The blueprint's file.
        file: PathBuf,
    },
}

#[derive(Serialize)]
struct Shown<'a> {
    hash: String,
    blueprint: &'a Blueprint,
}

impl Command {
    /// # Errors
    /// When the file cannot be read, or is no valid blueprint.
    pub fn run(self) -> Result<Output, CliError> {
        match self {
            Self::Show { file } => {
                let blueprint = read(&file)?;
                Ok(Output::new(text(&blueprint), &Shown { hash: blueprint.hash(), blueprint: &blueprint }))
            }
            Self::Canonical { file } => {
                let blueprint = read(&file)?;
                let canonical = format!("{}\n", blueprint.canonical());
                Ok(Output::new(canonical, &Shown { hash: blueprint.hash(), blueprint: &blueprint }))
            }
        }
    }
}

fn read(file: &Path) -> Result<Blueprint, CliError> {
    let refused = |why: String| CliError::Blueprint { file: file.to_owned(), why };
    let text = std::fs::read_to_string(file).map_err(|why| refused(why.to_string()))?;
    Blueprint::parse(&text).map_err(|error| refused(error.to_string()))
}

fn text(blueprint: &Blueprint) -> String {
    let Redundancy::Replicate { copies } = blueprint.redundancy;
    let capacity = &blueprint.capacity;
    let machine = blueprint.machine.as_ref().map_or("processes of one machine".to_owned(), |machine| {
        let volume = &machine.volume;
        format!("{} with {} bytes, {} IOPS", machine.instance_type, volume.bytes, volume.iops)
    });
    facts(&[
        ("name", blueprint.name.clone()),
        ("hash", blueprint.hash()),
        ("nodes", format!("{} in {} AZs", blueprint.nodes(), blueprint.topology.azs.len())),
        ("copies", copies.to_string()),
        ("bytes", capacity.bytes.to_string()),
        ("objects", capacity.objects.to_string()),
        ("accounts", capacity.accounts.to_string()),
        ("machine", machine),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> PathBuf {
        Path::new("../blueprints").join(name)
    }

    #[test]
    fn a_blueprint_is_shown_with_its_hash_and_printed_in_the_form_the_hash_is_of() {
        let blueprint = read(&file("aws-small.toml")).expect("valid");
        let shown = Command::Show { file: file("aws-small.toml") }.run().expect("valid");
        assert!(shown.render(false).contains(&blueprint.hash()) && shown.render(true).contains(&blueprint.hash()));
        let printed = Command::Canonical { file: file("aws-small.toml") }.run().expect("valid").render(false);
        assert_eq!(Blueprint::parse_canonical(&printed).expect("canonical").hash(), blueprint.hash());
    }

    #[test]
    fn a_file_that_is_no_blueprint_is_named() {
        let error = Command::Show { file: file("none.toml") }.run().expect_err("absent").to_string();
        assert!(error.contains("none.toml"), "{error}");
    }
}
