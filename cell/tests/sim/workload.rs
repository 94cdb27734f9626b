//! What a client does: reads, writes, conditional writes, deletes, multipart uploads and listings on a few keys.

use crate::{
    book::{self, KEYS, content},
    client::{BUCKET, Client, Ended},
};
use bulkhead_cell::{
    meta::{
        command::{Condition, EtagMatch, Refusal},
        record::Etag,
    },
    ops::{
        OpError, abort_multipart_upload, body::Body, complete_multipart_upload, create_multipart_upload, delete_object,
        get_object, list_objects, put_object, upload_part,
    },
};
use bulkhead_loadtest::oracle::{Action, Operation, When};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt as _, TryStreamExt as _};
use std::collections::BTreeMap;

/// Up to this size an object lies in the index.
const SMALL: u64 = 2 << 10;
/// The largest object put at once: three chunks.
const LARGE: u64 = 180 << 10;
/// The first part of a large upload must have so many bytes.
const PART: usize = 5 << 20;

/// Works until simulated millisecond `until`.
pub async fn work(client: Client, until: u64) {
    let mut last_seen: BTreeMap<&'static str, u64> = BTreeMap::new();
    while client.wires.0.lock().now < until {
        let key = client.key();
        match client.env.rng.below(100) {
            0..34 => {
                if let Some(Some(version)) = read(&client, key).await {
                    last_seen.insert(key, version);
                }
            }
            34..58 => put(&client, key, When::Always).await,
            58..65 => put(&client, key, When::Absent).await,
            65..74 => match last_seen.get(key) {
                Some(version) => put(&client, key, When::Is(*version)).await,
                None => put(&client, key, When::Absent).await,
            },
            74..82 => delete(&client, key, When::Always).await,
            82..85 => {
                if let Some(version) = last_seen.get(key) {
                    delete(&client, key, When::Is(*version)).await;
                }
            }
            85..93 => list(&client).await,
            _ => upload(&client, key).await,
        }
        tokio::time::sleep(client.env.rng.jitter(client.think)).await;
    }
}

fn condition(client: &Client, when: When) -> Condition {
    let none = Condition::default();
    match when {
        When::Always => none,
        When::Absent => Condition { if_none_match: Some(EtagMatch::Any), ..none },
        When::Is(version) => {
            let etags = client.book.etag(version).into_iter().collect();
            Condition { if_match: Some(EtagMatch::OneOf(etags)), ..none }
        }
    }
}

/// Writes down how a write ended.
fn enter<T: std::fmt::Debug>(client: &Client, key: &str, begun: u64, write: (Option<u64>, When), ended: &Ended<T>) {
    let (to, when) = write;
    let now = Some(client.book.moment());
    let operation = match ended {
        Ended::Done(_) => Operation { begun, ended: now, action: Action::Wrote(to, when) },
        Ended::Unknown => Operation { begun, ended: None, action: Action::Wrote(to, when) },
        Ended::Refused(Refusal::PreconditionFailed | Refusal::NoSuchKey) => {
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
pub async fn read(client: &Client, key: &'static str) -> Option<Option<u64>> {
    let begun = client.book.moment();
    let ended = client.persist("get", move |cell, caller| {
        let request = get_object::Request {
            bucket: BUCKET.into(),
            key: key.into(),
            range: None,
            part_number: None,
            conditions: Default::default(),
        };
        async move {
            let response = get_object::run(&cell, &caller, request).await?;
            let whole = response.body.try_fold(BytesMut::new(), |mut all, piece| async move {
                all.extend_from_slice(&piece);
                Ok(all)
            });
            // A body that is cut short is tried again, like a connection that breaks.
            whole.await.map(BytesMut::freeze).map_err(|fault| OpError::NotExecuted(fault.to_string()))
        }
        .boxed()
    });
    let seen = match ended.await {
        Ended::Done(body) => match client.book.recognise(&body) {
            Some(version) => Some(version),
            None => {
                client.book.violation(format!("{key}: {} bytes that nobody wrote were read", body.len()));
                return None;
            }
        },
        Ended::Refused(Refusal::NoSuchKey) => None,
        Ended::Refused(other) => {
            client.book.violation(format!("a read of {key} was refused: {other}"));
            return None;
        }
        Ended::Not | Ended::Unknown => return None,
    };
    let ended = Some(client.book.moment());
    client.book.enter(key, Operation { begun, ended, action: Action::Read(seen) });
    Some(seen)
}

async fn put(client: &Client, key: &'static str, when: When) {
    let most = if client.env.rng.below(3) == 0 { LARGE } else { SMALL };
    let len = 8 + usize::try_from(client.env.rng.below(most)).expect("small");
    let version = client.book.write(|version| {
        let bytes = content(version, len);
        let etag = book::etag(&bytes);
        (bytes, etag)
    });
    let (bytes, condition) = (client.book.content(version), condition(client, when));
    let begun = client.book.moment();
    let ended = client.persist("put", move |cell, caller| {
        let request = put_object::Request {
            bucket: BUCKET.into(),
            key: key.into(),
            headers: Default::default(),
            condition: condition.clone(),
            body: Body::from_bytes(bytes.clone()),
        };
        async move { put_object::run(&cell, &caller, request).await }.boxed()
    });
    let ended = ended.await;
    if let Ended::Done(response) = &ended {
        client.book.stamp(key, begun, response.modified.0);
    }
    enter(client, key, begun, (Some(version), when), &ended);
}

async fn delete(client: &Client, key: &'static str, when: When) {
    let condition = condition(client, when);
    let begun = client.book.moment();
    let ended = client.persist("delete", move |cell, caller| {
        let request = delete_object::Request { bucket: BUCKET.into(), key: key.into(), condition: condition.clone() };
        async move { delete_object::run(&cell, &caller, request).await }.boxed()
    });
    let ended = ended.await;
    enter(client, key, begun, (None, when), &ended);
}

/// Lists everything, in pages.
pub async fn list(client: &Client) {
    // A page is one state of the index, several pages are not: mostly there is one.
    let max = if client.env.rng.below(4) == 0 { 3 } else { 1_000 };
    let mut after: Option<String> = None;
    loop {
        let begun = client.book.moment();
        let from = after.clone();
        let ended = client.persist("list", move |cell, caller| {
            let request =
                list_objects::Request { bucket: BUCKET.into(), after: from.clone(), max, ..Default::default() };
            async move { list_objects::run(&cell, &caller, request).await }.boxed()
        });
        let page = match ended.await {
            Ended::Done(page) => page,
            Ended::Refused(other) => return client.book.violation(format!("a listing was refused: {other}")),
            Ended::Not | Ended::Unknown => return,
        };
        let listed: BTreeMap<String, Etag> = page.objects.into_iter().map(|entry| (entry.key, entry.etag)).collect();
        client.book.enter_list(begun, (after.as_deref(), page.next.as_deref()), &listed);
        match page.next {
            Some(next) => after = Some(next),
            None => return,
        }
    }
}

async fn upload(client: &Client, key: &'static str) {
    let created = client.persist("create upload", move |cell, caller| {
        let request = create_multipart_upload::Request {
            bucket: BUCKET.into(),
            key: key.into(),
            headers: Default::default(),
            algorithm: None,
            kind: None,
        };
        async move { create_multipart_upload::run(&cell, &caller, request).await }.boxed()
    });
    let Ended::Done(create_multipart_upload::Response { upload, .. }) = created.await else { return };
    let parts = parts(client);
    let version = client.book.write(|version| {
        // The whole begins with its version, and so the first part does.
        let mut parts = parts.clone();
        let first = [&version.to_be_bytes()[..], &parts[0][8..]].concat();
        parts[0] = first.into();
        (parts.concat().into(), book::etag_of_parts(&parts))
    });
    let whole = client.book.content(version);
    let mut listed = Vec::new();
    let mut at = 0;
    for (number, part) in (1_u16..).zip(&parts) {
        let bytes = whole.slice(at..at + part.len());
        at += part.len();
        let etag = book::etag(&bytes);
        let stored = client.persist("part", move |cell, caller| {
            let body = Body::from_bytes(bytes.clone());
            let request = upload_part::Request { bucket: BUCKET.into(), key: key.into(), upload, number, body };
            async move { upload_part::run(&cell, &caller, request).await }.boxed()
        });
        match stored.await {
            Ended::Done(_) => {}
            Ended::Refused(why) => return client.book.violation(format!("part {number} of {key} was refused: {why}")),
            Ended::Not | Ended::Unknown => return abort(client, key, upload).await,
        }
        listed.push(complete_multipart_upload::Listed { number, etag: Some(etag), checksum: None });
    }
    let when = if client.env.rng.below(3) == 0 { When::Absent } else { When::Always };
    let condition = condition(client, when);
    let begun = client.book.moment();
    let ended = client.persist("complete", move |cell, caller| {
        let request = complete_multipart_upload::Request {
            bucket: BUCKET.into(),
            key: key.into(),
            upload,
            parts: listed.clone(),
            condition: condition.clone(),
            checksum: None,
            kind: None,
            len: None,
        };
        async move { complete_multipart_upload::run(&cell, &caller, request).await }.boxed()
    });
    let ended = ended.await;
    enter(client, key, begun, (Some(version), when), &ended);
    if matches!(ended, Ended::Refused(_)) {
        abort(client, key, upload).await;
    }
}

async fn abort(client: &Client, key: &'static str, upload: bulkhead_cell::meta::record::UploadId) {
    // Whatever becomes of it: nobody completes it any more.
    let _whatever = client
        .persist("abort", move |cell, caller| {
            let request = abort_multipart_upload::Request { bucket: BUCKET.into(), key: key.into(), upload };
            async move { abort_multipart_upload::run(&cell, &caller, request).await }.boxed()
        })
        .await;
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

/// Reads every key through every node it finds, and lists.
pub async fn read_everything(client: Client) {
    for key in KEYS {
        for _ in 0..2 {
            if read(&client, key).await.is_none() {
                client.book.violation(format!("{key} cannot be read although everything is well"));
            }
        }
    }
    list(&client).await;
}
