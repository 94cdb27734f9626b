//! How many files and sockets this process may have open.

use crate::limits::OPEN_FILES_LEAST;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises this process's limit of open files to what the system allows it, as servers do: the limit a shell hands down is
/// made for programs that use `select`. Warns when that is less than [`OPEN_FILES_LEAST`].
///
/// # Errors
/// When the system refuses a limit that it said is allowed.
pub fn raise() -> std::io::Result<()> {
    let found = getrlimit(Resource::Nofile);
    if found.current != found.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: found.maximum, maximum: found.maximum })?;
    }
    // None is no limit at all.
    if let Some(allowed) = found.maximum.filter(|allowed| *allowed < OPEN_FILES_LEAST) {
        tracing::warn!(
            allowed,
            wanted = OPEN_FILES_LEAST,
            "few files may be open: connections will be refused under load"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_becomes_what_is_allowed() {
        let allowed = getrlimit(Resource::Nofile).maximum;
        // Little enough less that other tests of this process do not notice.
        let current = Some(allowed.map_or(1 << 20, |allowed| allowed - 1));
        setrlimit(Resource::Nofile, Rlimit { current, maximum: allowed }).expect("lowered");
        raise().expect("raised");
        assert_eq!(getrlimit(Resource::Nofile).current, allowed);
    }
}
