//! Programs of others: found or skipped, given one account and nothing of this machine's settings, and bounded in time.

use super::suite::Verdict;
use anyhow::Context;
use bulkhead_loadtest::client::Target;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};
use tokio::process::Command;

/// A program that is installed.
pub struct Tool<'a> {
    program: PathBuf,
    target: &'a Target,
    home: &'a Path,
    setting: Option<(&'static str, &'a Path)>,
}

const PATIENCE: Duration = Duration::from_secs(180);

impl<'a> Tool<'a> {
    /// Looks for `name` on the path. `Err` is the verdict when it is not there.
    pub fn find(name: &str, target: &'a Target, home: &'a Path) -> Result<Self, Verdict> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file());
        match program {
            Some(program) => Ok(Self { program, target, home, setting: None }),
            None => Err(Verdict::Skipped(format!("{name} is not installed"))),
        }
    }

    /// The same program with one environment variable set to a path.
    pub fn with(self, name: &'static str, path: &'a Path) -> Self {
        Self { setting: Some((name, path)), ..self }
    }

    /// Runs it and answers what it printed.
    ///
    /// # Errors
    /// When it fails or takes longer than three minutes; what it said is in the error.
    pub async fn run(&self, arguments: &[impl AsRef<OsStr>]) -> anyhow::Result<String> {
        let output = self.output(arguments).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{} failed: {}", self.line(arguments), last_lines(&said));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn output(&self, arguments: &[impl AsRef<OsStr>]) -> anyhow::Result<Output> {
        let credentials = self.target.credentials();
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).env_clear();
        for name in ["PATH", "PYENV_ROOT", "PYENV_VERSION", "LANG", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let endpoint = self.target.endpoint();
        command.envs([
            ("HOME", self.home.as_os_str()),
            ("AWS_ENDPOINT_URL", endpoint.as_ref()),
            ("AWS_ACCESS_KEY_ID", credentials.access_key_id.as_ref()),
            ("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key.as_ref()),
            ("AWS_REGION", credentials.region.as_ref()),
            ("AWS_DEFAULT_REGION", credentials.region.as_ref()),
            ("AWS_CONFIG_FILE", "/dev/null".as_ref()),
            ("AWS_EC2_METADATA_DISABLED", "true".as_ref()),
            ("RESTIC_PASSWORD", "of the tests".as_ref()),
            ("RCLONE_S3_PROVIDER", "Other".as_ref()),
            ("RCLONE_S3_ENV_AUTH", "true".as_ref()),
            ("RCLONE_S3_ENDPOINT", endpoint.as_ref()),
            ("RCLONE_CONFIG", "".as_ref()),
        ]);
        if let Some((name, path)) = self.setting {
            command.env(name, path);
        }
        let output = tokio::time::timeout(PATIENCE, command.output()).await;
        Ok(output.with_context(|| format!("{} took too long", self.line(arguments)))??)
    }

    fn line(&self, arguments: &[impl AsRef<OsStr>]) -> String {
        let words = arguments.iter().map(|argument| argument.as_ref().to_string_lossy().into_owned());
        format!("`{} {}`", self.program.display(), words.collect::<Vec<_>>().join(" "))
    }
}

/// The end of a complaint: tools that print progress print a lot of it.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
