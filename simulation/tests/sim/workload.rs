//! What a client does: reads, writes, conditional writes, deletes, multipart uploads and listings on a few keys.

use crate::{
    book::{self, KEYS, content},
    client::{BUCKET, Client, Ended},
};
use bulkhead_cell::{meta::record::Etag, ops::etag};
use bulkhead_loadtest::{
    client::{Call, Condition, ListQuery, Part, Payload, Upload},
    oracle::{Action, Operation, When},
};
use bytes::Bytes;
use http::Method;
use std::collections::BTreeMap;

/// Up to this size an object lies in the index.
const SMALL: u64 = 2 << 10;
/// The largest object put at once: three chunks. Above 64 KiB a router passes a body on as it comes.
const LARGE: u64 = 180 << 10;
/// The first part of a large upload must have so many bytes.
const PART: usize = 5 << 20;

/// Works until simulated millisecond `until`.
pub async fn work(mut client: Client, until: u64) {
    let client = &mut client;
    let mut last_seen: BTreeMap<&'static str, u64> = BTreeMap::new();
    while client.wires.0.lock().now < until {
        let key = client.key();
        match client.env.rng.below(100) {
            0..34 => {
                if let Some(Some(version)) = read(client, key).await {
                    last_seen.insert(key, version);
                }
            }
            34..58 => put(client, key, When::Always).await,
            58..65 => put(client, key, When::Absent).await,
            65..74 => match last_seen.get(key) {
                Some(version) => put(client, key, When::Is(*version)).await,
                None => put(client, key, When::Absent).await,
            },
            74..82 => delete(client, key, When::Always).await,
            82..85 => {
                if let Some(version) = last_seen.get(key) {
                    delete(client, key, When::Is(*version)).await;
                }
            }
            85..93 => list(client).await,
            _ => upload(client, key).await,
        }
        tokio::time::sleep(client.env.rng.jitter(client.think)).await;
    }
}

fn condition(client: &Client, when: When) -> Condition {
    match when {
        When::Always => Condition::Always,
        When::Absent => Condition::Absent,
        When::Is(version) => {
            let etag = client.book.etag(version).expect("a version that was read was written");
            Condition::Matches(format!("\"{}\"", etag::show(&etag)))
        }
    }
}

fn under<'a>(condition: &Condition, call: Call<'a>) -> Call<'a> {
    match condition {
        Condition::Always => call,
        Condition::Absent => call.header("if-none-match", "*"),
        Condition::Matches(etag) => call.header("if-match", etag.clone()),
    }
}

/// Writes down how a write ended.
fn enter<T: std::fmt::Debug>(client: &Client, key: &str, begun: u64, write: (Option<u64>, When), ended: &Ended<T>) {
    let (to, when) = write;
    let now = Some(client.book.moment());
    let operation = match ended {
        Ended::Done(_) => {
            if let Some(version) = to {
                client.book.acknowledged(key, begun, version);
            }
            Operation { begun, ended: now, action: Action::Wrote(to, when) }
        }
        Ended::Unknown => Operation { begun, ended: None, action: Action::Wrote(to, when) },
        Ended::Refused(refusal) if refusal.status == 412 || refusal.code == "NoSuchKey" => {
            Operation { begun, ended: now, action: Action::Refused(when) }
        }
        Ended::Not => return client.book.given_up(),
        Ended::Refused(other) => {
            return client.book.violation(format!("client {}: a write of {key} was refused: {other}", client.id));
        }
    };
    client.book.enter(key, operation);
}

/// The version that is read; `None` when there was no answer.
pub async fn read(client: &mut Client, key: &'static str) -> Option<Option<u64>> {
    for _ in 0..client.tries() {
        let begun = client.book.moment();
        let seen = match client.ask("get", Call::new(Method::GET, BUCKET, key)).await {
            Ended::Done(reply) => {
                let Some(version) = client.book.recognise(&reply.body) else {
                    client.book.violation(format!("{key}: {} bytes that nobody wrote were read", reply.body.len()));
                    return None;
                };
                client.book.dated(version, reply.modified);
                Some(version)
            }
            Ended::Refused(refusal) if refusal.code == "NoSuchKey" => None,
            Ended::Refused(other) => {
                client.book.violation(format!("a read of {key} was refused: {other}"));
                return None;
            }
            Ended::Not | Ended::Unknown => {
                client.pause().await;
                continue;
            }
        };
        let ended = Some(client.book.moment());
        client.book.enter(key, Operation { begun, ended, action: Action::Read(seen) });
        return Some(seen);
    }
    None
}

async fn put(client: &mut Client, key: &'static str, when: When) {
    let most = if client.env.rng.below(3) == 0 { LARGE } else { SMALL };
    let len = 8 + usize::try_from(client.env.rng.below(most)).expect("small");
    let version = client.book.write(|version| {
        let bytes = content(version, len);
        let etag = book::etag(&bytes);
        (bytes, etag)
    });
    let call = Call::new(Method::PUT, BUCKET, key).payload(Payload::Bytes(client.book.content(version)));
    let call = under(&condition(client, when), call);
    let begun = client.book.moment();
    let ended = client.ask("put", call).await;
    enter(client, key, begun, (Some(version), when), &ended);
}

async fn delete(client: &mut Client, key: &'static str, when: When) {
    let call = under(&condition(client, when), Call::new(Method::DELETE, BUCKET, key));
    let begun = client.book.moment();
    let ended = client.ask("delete", call).await;
    enter(client, key, begun, (None, when), &ended);
}

/// Lists everything, in pages.
pub async fn list(client: &mut Client) {
    // A page is one state of the index, several pages are not: mostly there is one.
    let max_keys = if client.env.rng.below(4) == 0 { Some(3) } else { None };
    let query = ListQuery { bucket: BUCKET, max_keys, ..ListQuery::default() };
    let (mut token, mut after): (Option<String>, Option<String>) = (None, None);
    loop {
        let begun = client.book.moment();
        let page = client.session().list_page(&query, token.as_deref()).await;
        let page = match client.ended("list", page) {
            Ended::Done(page) => page,
            Ended::Refused(other) => return client.book.violation(format!("a listing was refused: {other}")),
            Ended::Not | Ended::Unknown => return,
        };
        let last = page.next.as_ref().and(page.objects.last()).map(|object| object.key.clone());
        let mut listed: BTreeMap<String, Etag> = BTreeMap::new();
        for object in page.objects {
            match etag::parse(&object.etag) {
                Some(etag) => drop(listed.insert(object.key, etag)),
                None => client.book.violation(format!("a listing shows {} with {:?}", object.key, object.etag)),
            }
        }
        client.book.enter_list(begun, (after.as_deref(), last.as_deref()), &listed);
        if page.next.is_none() {
            return;
        }
        (token, after) = (page.next, last);
    }
}

async fn upload(client: &mut Client, key: &'static str) {
    let created = client.session().create_upload(BUCKET, key, 0).await;
    let Ended::Done(upload) = client.ended("create upload", created) else { return };
    let parts = parts(client);
    let version = client.book.write(|version| {
        // The whole begins with its version, and so the first part does.
        let mut parts = parts.clone();
        let first = [&version.to_be_bytes()[..], &parts[0][8..]].concat();
        parts[0] = first.into();
        (parts.concat().into(), book::etag_of_parts(&parts))
    });
    let whole = client.book.content(version);
    let mut stored = Vec::new();
    let mut at = 0;
    for (number, part) in (1_u32..).zip(&parts) {
        let bytes = whole.slice(at..at + part.len());
        at += part.len();
        let etag = format!("\"{}\"", etag::show(&book::etag(&bytes)));
        let call = Call::new(Method::PUT, BUCKET, key)
            .query("partNumber", number.to_string())
            .query("uploadId", upload.id.clone())
            .payload(Payload::Bytes(bytes));
        match client.ask("part", call).await {
            Ended::Done(_) => stored.push(Part { number, etag }),
            Ended::Refused(why) => return client.book.violation(format!("part {number} of {key} was refused: {why}")),
            Ended::Not | Ended::Unknown => return abort(client, &upload).await,
        }
    }
    let when = if client.env.rng.below(3) == 0 { When::Absent } else { When::Always };
    let condition = condition(client, when);
    let begun = client.book.moment();
    let completed = client.session().complete_upload(&upload, &stored, &condition).await;
    let ended = client.ended("complete", completed);
    enter(client, key, begun, (Some(version), when), &ended);
    if matches!(ended, Ended::Refused(_)) {
        abort(client, &upload).await;
    }
}

async fn abort(client: &mut Client, upload: &Upload) {
    // Whatever becomes of it: nobody completes it any more.
    let _whatever = client.session().abort_upload(upload).await;
}

/// One part of any size, or seldom two, of which the first is large.
fn parts(client: &Client) -> Vec<Bytes> {
    let any = |salt: u64, most: u64| {
        let len = 8 + usize::try_from(client.env.rng.below(most)).expect("small");
        content(client.env.rng.u64() ^ salt, len)
    };
    if client.env.rng.below(24) == 0 {
        vec![content(client.env.rng.u64(), PART), any(1, SMALL)]
    } else {
        vec![any(2, LARGE)]
    }
}

/// Reads every key through every router it finds, and lists.
pub async fn read_everything(mut client: Client) {
    let client = &mut client;
    for key in KEYS {
        for _ in 0..2 {
            if read(client, key).await.is_none() {
                client.book.violation(format!("{key} cannot be read although everything is well"));
            }
        }
    }
    list(client).await;
}
