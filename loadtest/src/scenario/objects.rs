//! Objects that are written once, and from then on read back whole or not at all.
//!
//! Every object's bytes follow from its key, so a write may be repeated until it is acknowledged.

use crate::{
    client::{Condition, Outcome, PayloadHash, Put, Session, Target},
    clock,
    limits::{OBJECT_CLIENTS, OBJECT_PATIENCE, POLL},
    workload::Content,
};
use futures::future::try_join_all;
use rand::{RngExt as _, rngs::StdRng};
use std::{
    collections::BTreeMap,
    fmt,
    ops::{AddAssign, RangeInclusive},
    sync::Arc,
    time::Duration,
};

/// Version of what is written: there is but one.
const VERSION: u64 = 1;

/// What is stored, by key, and its length.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    pub held: BTreeMap<String, u64>,
}

/// What was done with objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    pub objects: u64,
    pub bytes: u64,
    /// Tries that came to nothing, each repeated until one did not.
    pub tries_lost: u64,
    pub took: Duration,
}

/// An account at a place, and its bucket.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub target: &'a Arc<Target>,
    pub bucket: &'a str,
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Write,
    Read,
    Delete,
}

impl AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.tries_lost += other.tries_lost;
        self.took = self.took.max(other.took);
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { objects, bytes, tries_lost, took } = self;
        write!(
            f,
            "{objects} objects ({:.1} MiB) in {:.1} s, {tries_lost} tries repeated",
            *bytes as f64 / f64::from(1 << 20),
            took.as_secs_f64()
        )
    }
}

/// Lengths within `range`, every magnitude as often as any other, of `total` bytes together or little more. The ends of the range
/// are among them.
pub fn lengths(range: RangeInclusive<u64>, total: u64, dice: &mut StdRng) -> Vec<u64> {
    let (least, most) = (*range.start(), *range.end());
    let mut lengths = vec![least, most];
    let mut sum = least + most;
    while sum < total {
        let share: f64 = dice.random_range(0.0..1.0);
        let length = least.max(1) as f64 * (most.max(1) as f64 / least.max(1) as f64).powf(share);
        let length = (length as u64).clamp(least, most);
        lengths.push(length);
        sum += length;
    }
    lengths
}

impl Objects {
    /// Writes objects of these lengths, under keys that begin with `prefix`.
    ///
    /// # Errors
    /// When one is not acknowledged within [`OBJECT_PATIENCE`].
    pub async fn write(&mut self, place: Place<'_>, prefix: &str, lengths: &[u64]) -> anyhow::Result<Done> {
        let keys: Vec<_> =
            lengths.iter().enumerate().map(|(at, length)| (format!("{prefix}/{at:06}"), *length)).collect();
        let done = all(place, Deed::Write, &keys).await?;
        self.held.extend(keys);
        Ok(done)
    }

    /// Reads every object and compares it byte for byte.
    ///
    /// # Errors
    /// At the first that has wrong bytes, is gone, or cannot be read within [`OBJECT_PATIENCE`].
    pub async fn read(&self, place: Place<'_>) -> anyhow::Result<Done> {
        let keys: Vec<_> = self.held.iter().map(|(key, length)| (key.clone(), *length)).collect();
        all(place, Deed::Read, &keys).await
    }

    /// Deletes objects.
    ///
    /// # Errors
    /// When the deletion of one is not acknowledged within [`OBJECT_PATIENCE`].
    pub async fn delete(&mut self, place: Place<'_>, keys: &[(String, u64)]) -> anyhow::Result<Done> {
        let done = all(place, Deed::Delete, keys).await?;
        for (key, _) in keys {
            self.held.remove(key);
        }
        Ok(done)
    }

    /// Any `percent` of the objects.
    pub fn some(&self, percent: u32, dice: &mut StdRng) -> Vec<(String, u64)> {
        let chosen = self.held.iter().filter(|_| dice.random_range(0..100) < percent);
        chosen.map(|(key, length)| (key.clone(), *length)).collect()
    }
}

async fn all(place: Place<'_>, deed: Deed, keys: &[(String, u64)]) -> anyhow::Result<Done> {
    let begun = clock::now();
    let clients = (0..OBJECT_CLIENTS).map(|number| async move {
        let mut session = Session::new(place.target.clone(), PayloadHash::Unsigned);
        let mut done = Done::default();
        for (key, length) in keys.iter().skip(number).step_by(OBJECT_CLIENTS) {
            done.tries_lost += insist(&mut session, place.bucket, deed, key, *length).await?;
            done.objects += 1;
            done.bytes += length;
        }
        anyhow::Ok(done)
    });
    let mut total = Done::default();
    for done in try_join_all(clients).await? {
        total += done;
    }
    total.took = clock::now() - begun;
    Ok(total)
}

/// Does it until it is done. Answers how many tries came to nothing.
async fn insist(session: &mut Session, bucket: &str, deed: Deed, key: &str, length: u64) -> anyhow::Result<u64> {
    let deadline = clock::now() + OBJECT_PATIENCE;
    let mut lost = 0;
    loop {
        let why = match once(session, bucket, deed, key, length).await {
            Outcome::Ok(Ok(())) => return Ok(lost),
            Outcome::Ok(Err(mismatch)) => anyhow::bail!("{key}: {mismatch}"),
            Outcome::Refused(refusal) if refusal.certain() => anyhow::bail!("{key}: refused with {refusal}"),
            Outcome::Refused(refusal) => refusal.to_string(),
            Outcome::Unsent(why) => why,
            Outcome::Unknown(why) => why.to_string(),
        };
        lost += 1;
        anyhow::ensure!(clock::now() < deadline, "{key}: {deed:?} did not succeed in {OBJECT_PATIENCE:?}: {why}");
        tokio::time::sleep(POLL).await;
    }
}

async fn once(session: &mut Session, bucket: &str, deed: Deed, key: &str, length: u64) -> Outcome<Result<(), String>> {
    let content = Content::of(key, VERSION, length);
    match deed {
        Deed::Write => put(session, bucket, key, length).await.map(Ok),
        Deed::Delete => session.delete(bucket, key).await.map(Ok),
        Deed::Read => {
            let read = session.get(bucket, key).await;
            let verified = read.and_then(async |download| download.verify(content, 0).await).await;
            verified.map(|checked| checked.map(|_| ()).map_err(|mismatch| mismatch.to_string()))
        }
    }
}

/// Writes one object, once.
pub async fn put(session: &mut Session, bucket: &str, key: &str, length: u64) -> Outcome<()> {
    let content = Content::of(key, VERSION, length);
    let put = Put { bucket, key, version: VERSION, content, condition: Condition::Always };
    session.put(&put).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, Sin};
    use rand::SeedableRng as _;

    #[test]
    fn lengths_span_the_range_and_add_up() {
        let mut dice = StdRng::seed_from_u64(1);
        let lengths = lengths(4_096..=1 << 20, 32 << 20, &mut dice);
        assert!(lengths.iter().all(|length| (4_096..=1 << 20).contains(length)));
        assert!((32 << 20..33 << 20).contains(&lengths.iter().sum::<u64>()));
        assert!(lengths.contains(&4_096) && lengths.contains(&(1 << 20)));
        let small = lengths.iter().filter(|length| **length < 64 << 10).count();
        assert!((lengths.len() / 4..lengths.len()).contains(&small), "{small} of {}", lengths.len());
    }

    async fn round(sin: Sin) -> anyhow::Result<()> {
        let fake = Fake::start(sin).await;
        let place = Place { target: &fake.target, bucket: "bucket" };
        let mut objects = Objects::default();
        objects.write(place, "k", &[100; 200]).await?;
        let some = objects.some(50, &mut StdRng::seed_from_u64(1));
        objects.delete(place, &some).await?;
        assert_eq!(objects.held.len(), 200 - some.len());
        objects.read(place).await.map(|_| ())
    }

    #[tokio::test]
    async fn what_was_written_and_not_deleted_is_compared_and_a_lie_is_found() {
        round(Sin::None).await.expect("a correct store");
        for sin in [Sin::Forget, Sin::Corrupt] {
            assert!(round(sin).await.is_err(), "{sin:?} was not found");
        }
    }
}
