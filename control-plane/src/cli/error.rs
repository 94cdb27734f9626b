//! What a person is told when a command fails: the cause, and what to do next.

use crate::{
    dev::DevError,
    provision::local::{ProvisionError, process::ProcessError},
};
use bulkhead_service::{client::ClientError, config::ConfigError, tls::TlsError};
use std::{net::SocketAddr, path::PathBuf};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(
        "no control plane answers at {address} ({why}).\nStart one with `bulkhead dev up`, or name another with --endpoint."
    )]
    Unreachable { address: SocketAddr, why: String },
    #[error(
        "the control plane at {address} did not answer ({why}).\nThe change may have been made: look before you repeat it."
    )]
    Unknown { address: SocketAddr, why: String },
    #[error(
        "the control plane at {address} does not accept the token in {file}.\nName the right file with --token-file."
    )]
    Unauthorized { address: SocketAddr, file: String },
    #[error("{0}")]
    Refused(String),
    #[error(
        "there is no admin token: {0}.\nStart a fleet with `bulkhead dev up`, or name the token's file with --token-file."
    )]
    NoToken(ConfigError),
    #[error(
        "--endpoint {given:?} is not an address such as http://127.0.0.1:9002, or https:// of a fleet that speaks mutual TLS"
    )]
    Endpoint { given: String },
    #[error("--tls-ca, --tls-cert and --tls-key are given together or not at all: {missing} is missing")]
    TlsIncomplete { missing: &'static str },
    #[error(
        "--endpoint {given} speaks TLS, which needs a certificate: name its files with --tls-ca, --tls-cert and --tls-key"
    )]
    TlsMissing { given: String },
    #[error("--endpoint {given} does not speak TLS, but --tls-cert says so: leave out one of them, or say https://")]
    TlsUnused { given: String },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{}: {why}", file.display())]
    Blueprint { file: PathBuf, why: String },
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    #[error(transparent)]
    Dev(#[from] DevError),
}

impl CliError {
    /// A failed call of the API at `address`, made with the token in `file`.
    pub fn from_call(address: SocketAddr, file: &std::path::Path, error: ClientError) -> Self {
        match error {
            ClientError::Unusable(why) | ClientError::Unreachable(why) => Self::Unreachable { address, why },
            ClientError::Lost(_) | ClientError::TimedOut(_) | ClientError::Malformed(_) => {
                Self::Unknown { address, why: error.to_string() }
            }
            ClientError::Refused { status: http::StatusCode::UNAUTHORIZED, .. } => {
                Self::Unauthorized { address, file: file.display().to_string() }
            }
            ClientError::Refused { error, .. } => Self::Refused(error.message),
        }
    }
}
