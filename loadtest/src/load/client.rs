//! One connection of an account: takes a request that is due, does it, judges the answer.

use super::{
    clockwork::Queue,
    engine::Tenant,
    keys::{Ended, Keys, Reading, Standing, Writing},
    recorder::{End, Recorder},
    workload::{Kind, Popularity},
};
use crate::{
    client::{Condition, Download, ListQuery, Lost, Outcome, PayloadHash, Put, Refusal, Session, Target},
    clock,
    limits::MULTIPART_PART_BYTES,
    workload::Content,
};
use rand::{SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, Zipf};
use std::sync::Arc;

/// Of a multipart object.
const PARTS: u64 = 3;

/// One connection.
pub struct Client {
    session: Session,
    tenant: Arc<Tenant>,
    recorder: Arc<Recorder>,
}

impl Client {
    pub fn new(tenant: Arc<Tenant>, target: Arc<Target>, recorder: Arc<Recorder>) -> Self {
        Self { session: Session::new(target, PayloadHash::Unsigned), tenant, recorder }
    }

    /// Works until the run is over.
    pub async fn run(mut self, queue: Arc<Queue>) {
        while let Some(due) = queue.next().await {
            let end = self.serve(due.kind, due.dice).await;
            self.recorder.record(due.when, due.kind, end, clock::now().saturating_duration_since(due.at));
        }
    }

    async fn serve(&mut self, kind: Kind, dice: u64) -> End {
        let key = self.pick(dice);
        match kind {
            Kind::Put => self.put(key, Condition::Always).await,
            Kind::PutIfAbsent => self.put(key, Condition::Absent).await,
            Kind::Get => self.get(key).await,
            Kind::GetRange => self.get_range(key, dice).await,
            Kind::Head => self.head(key).await,
            Kind::Delete => self.delete(key).await,
            Kind::List => self.list(key, None).await,
            Kind::ListPrefixes => self.list(key, Some("/")).await,
            Kind::Multipart => self.multipart(key).await,
        }
    }

    fn pick(&self, dice: u64) -> u32 {
        let count = self.tenant.keys.count();
        match self.tenant.group.popularity {
            Popularity::Uniform => (dice % u64::from(count)) as u32,
            Popularity::Zipf(exponent) => {
                let zipf = Zipf::new(f64::from(count), exponent).expect("keys and exponent were checked");
                // From 1 on; the most popular keys are spread over the key space.
                let rank = zipf.sample(&mut StdRng::seed_from_u64(dice)) as u64;
                (rank.wrapping_mul(0x9E37_79B1) % u64::from(count)) as u32
            }
        }
    }

    fn content(&self, name: &str, version: u64) -> Content {
        self.tenant.group.sizes.content(name, version)
    }

    async fn put(&mut self, wanted: u32, condition: Condition) -> End {
        let Some(Writing { key, version, over }) = self.tenant.keys.begin_write(wanted) else { return End::NoKey };
        let name = Keys::name(key);
        let content = self.content(&name, version);
        let absent_only = condition == Condition::Absent;
        let put = Put { bucket: &self.tenant.bucket, key: &name, version, content, condition };
        let outcome = self.session.put(&put).await;
        let leaves = Standing::Version(version);
        // Refused because something is there, as it was asked to be.
        if let Outcome::Refused(Refusal { status: 412, .. }) = outcome
            && absent_only
        {
            self.tenant.keys.end_write(key, Ended::Refused);
            return End::Done { bytes: 0 };
        }
        let broke = absent_only && matches!((&outcome, over), (Outcome::Ok(_), Some(Standing::Version(_))));
        let end = self.written(key, leaves, outcome.map(|_| content.len()));
        if broke { End::Wrong(format!("{name}: If-None-Match: * wrote over {over:?}")) } else { end }
    }

    async fn delete(&mut self, wanted: u32) -> End {
        let Some(Writing { key, .. }) = self.tenant.keys.begin_write(wanted) else { return End::NoKey };
        let outcome = self.session.delete(&self.tenant.bucket, &Keys::name(key)).await;
        self.written(key, Standing::Absent, outcome.map(|()| 0))
    }

    /// Its size is its own, so its key is one that only multipart uploads write.
    async fn multipart(&mut self, key: u32) -> End {
        let name = format!("multipart/{}", Keys::name(key));
        let bucket = self.tenant.bucket.clone();
        let content = Content::of(&name, 1, PARTS * MULTIPART_PART_BYTES);
        let upload = match self.session.create_upload(&bucket, &name, 1).await {
            Outcome::Ok(upload) => upload,
            other => return ended(other.map(|_| 0)),
        };
        let mut parts = Vec::new();
        for number in 0..PARTS {
            let range = number * MULTIPART_PART_BYTES..(number + 1) * MULTIPART_PART_BYTES;
            match self.session.upload_part(&upload, number as u32 + 1, content, range).await {
                Outcome::Ok(part) => parts.push(part),
                other => return ended(other.map(|_| 0)),
            }
        }
        let completed = self.session.complete_upload(&upload, &parts, &Condition::Always).await;
        ended(completed.map(|_| content.len()))
    }

    fn written(&self, key: u32, leaves: Standing, outcome: Outcome<u64>) -> End {
        let ended_as = match &outcome {
            Outcome::Ok(_) => Ended::Took(leaves),
            Outcome::Refused(refusal) if refusal.certain() => Ended::Refused,
            Outcome::Unsent(_) => Ended::Refused,
            Outcome::Refused(_) | Outcome::Unknown(_) => Ended::Unknown(leaves),
        };
        self.tenant.keys.end_write(key, ended_as);
        ended(outcome)
    }

    async fn get(&mut self, key: u32) -> End {
        let (name, reading) = (Keys::name(key), self.tenant.keys.begin_read(key));
        match self.session.get(&self.tenant.bucket, &name).await {
            Outcome::Ok(download) => {
                let (version, length) = (download.version.unwrap_or(0), download.length);
                let content = self.content(&name, version);
                match download.verify(content, 0).await {
                    Outcome::Ok(Ok(bytes)) if bytes == content.len() => {
                        self.seen(key, &reading, Standing::Version(version), bytes)
                    }
                    Outcome::Ok(Ok(_)) => End::Wrong(format!("{name} version {version} has {length} bytes")),
                    Outcome::Ok(Err(mismatch)) => End::Wrong(format!("{name} version {version}: {mismatch}")),
                    other => ended(other.map(|_| 0)),
                }
            }
            other => self.absent(key, &reading, other),
        }
    }

    async fn get_range(&mut self, key: u32, dice: u64) -> End {
        let (name, reading) = (Keys::name(key), self.tenant.keys.begin_read(key));
        let Some(version) = reading.version() else { return self.get(key).await };
        let length = self.content(&name, version).len();
        let from = dice % length.max(1) * 9 / 10;
        let range = from..(from + length / 10 + 1).min(length.max(1));
        match self.session.get_range(&self.tenant.bucket, &name, range.clone()).await {
            Outcome::Ok(download) => {
                let seen = download.version.unwrap_or(0);
                match download.verify(self.content(&name, seen), range.start).await {
                    Outcome::Ok(Ok(bytes)) => self.seen(key, &reading, Standing::Version(seen), bytes),
                    Outcome::Ok(Err(mismatch)) => End::Wrong(format!("{name} version {seen}: {mismatch}")),
                    other => ended(other.map(|_| 0)),
                }
            }
            // Another version, shorter than the one that was there, has taken its place.
            Outcome::Refused(Refusal { status: 416, .. }) if self.tenant.keys.changed(key, &reading) => {
                End::Done { bytes: 0 }
            }
            other => self.absent(key, &reading, other),
        }
    }

    async fn head(&mut self, key: u32) -> End {
        let (name, reading) = (Keys::name(key), self.tenant.keys.begin_read(key));
        match self.session.head(&self.tenant.bucket, &name).await {
            Outcome::Ok(Download { version, length, .. }) => {
                let version = version.unwrap_or(0);
                if length != self.content(&name, version).len() {
                    return End::Wrong(format!("{name} version {version} is said to have {length} bytes"));
                }
                self.seen(key, &reading, Standing::Version(version), 0)
            }
            other => self.absent(key, &reading, other),
        }
    }

    /// What a read that found no object comes to.
    fn absent(&self, key: u32, reading: &Reading, outcome: Outcome<Download>) -> End {
        match outcome {
            Outcome::Refused(Refusal { status: 404, .. }) => self.seen(key, reading, Standing::Absent, 0),
            other => ended(other.map(|_| 0)),
        }
    }

    fn seen(&self, key: u32, reading: &Reading, standing: Standing, bytes: u64) -> End {
        match self.tenant.keys.end_read(key, reading, standing) {
            Ok(()) => End::Done { bytes },
            Err(what) => End::Wrong(what),
        }
    }

    async fn list(&mut self, key: u32, delimiter: Option<&str>) -> End {
        let prefix = match delimiter {
            Some(_) => String::new(),
            None => format!("{:02}/", key % 100),
        };
        let query = ListQuery { bucket: &self.tenant.bucket, prefix: &prefix, delimiter, max_keys: None };
        ended(self.session.list_page(&query, None).await.map(|_| 0))
    }
}

/// How a request that ended so is counted.
fn ended(outcome: Outcome<u64>) -> End {
    match outcome {
        Outcome::Ok(bytes) => End::Done { bytes },
        Outcome::Refused(refusal) if refusal.is_slow_down() => End::Shed,
        Outcome::Refused(refusal) => End::Failed(format!("{} {}", refusal.status, refusal.code)),
        Outcome::Unsent(_) => End::Failed("no connection".into()),
        Outcome::Unknown(Lost::TimedOut) => End::Failed("no answer in time".into()),
        Outcome::Unknown(Lost::Disconnected(_)) => End::Failed("the connection was lost".into()),
        Outcome::Unknown(Lost::Malformed(what)) => End::Wrong(what),
    }
}
