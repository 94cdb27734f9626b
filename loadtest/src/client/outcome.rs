//! What is known about a request afterwards.

/// How a request ended. Only [`Outcome::Ok`] says that it took effect; only [`Outcome::Unsent`] and a refusal that is
/// [`Refusal::certain`] say that it did not and never will.
#[derive(Debug)]
pub enum Outcome<T> {
    Ok(T),
    /// The server answered with an error.
    Refused(Refusal),
    /// No connection could be made, so nothing was sent.
    Unsent(String),
    /// The answer never came: the request may have been executed, or may be executed later.
    Unknown(Lost),
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// S3's error code; empty when the answer had no body (HEAD).
    pub code: String,
    pub message: String,
    /// Seconds after which the server wants to be asked again, if it says.
    pub retry_after: Option<u64>,
    /// A Bulkhead says that nothing was done, and nothing will be.
    pub not_executed: bool,
}

/// Why an outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    #[error("no answer within the time limit")]
    TimedOut,
    #[error("the connection was lost: {0}")]
    Disconnected(String),
    #[error("the answer is not what S3 answers: {0}")]
    Malformed(String),
}

impl Refusal {
    /// Whether the request certainly had no effect: the server found fault with it, not with itself, or says so.
    pub fn certain(&self) -> bool {
        self.status < 500 || self.not_executed
    }

    /// Whether the service asks for fewer requests. What became of this one it does not say. An answer to HEAD has no body that could name
    /// the reason: of such, one that says when to come again is taken for it.
    pub fn is_slow_down(&self) -> bool {
        let unnamed = self.code.is_empty() && self.retry_after.is_some();
        self.status == 503 && (self.code == "SlowDown" || unnamed)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.status, self.code, self.message)
    }
}

impl<T> Outcome<T> {
    /// Changes the value of a success.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Ok(value) => Outcome::Ok(change(value)),
            Self::Refused(refusal) => Outcome::Refused(refusal),
            Self::Unsent(why) => Outcome::Unsent(why),
            Self::Unknown(lost) => Outcome::Unknown(lost),
        }
    }

    /// Goes on after a success.
    pub async fn and_then<U>(self, next: impl AsyncFnOnce(T) -> Outcome<U>) -> Outcome<U> {
        match self {
            Self::Ok(value) => next(value).await,
            Self::Refused(refusal) => Outcome::Refused(refusal),
            Self::Unsent(why) => Outcome::Unsent(why),
            Self::Unknown(lost) => Outcome::Unknown(lost),
        }
    }

    /// For callers to whom everything but success is an error.
    ///
    /// # Errors
    /// Says which request (`what`) ended how.
    pub fn required(self, what: &str) -> anyhow::Result<T> {
        match self {
            Self::Ok(value) => Ok(value),
            Self::Refused(refusal) => anyhow::bail!("{what}: refused with {refusal}"),
            Self::Unsent(why) => anyhow::bail!("{what}: {why}"),
            Self::Unknown(lost) => anyhow::bail!("{what}: {lost}"),
        }
    }
}
