//! A cell that declares to take few objects and few bytes takes exactly so many, whoever writes at the same time.

use super::{refused, until_full};
use crate::{
    client::Refusal,
    faults::Maxima,
    scenario::{objects::Objects, stage::Stage},
};

const SMALL_BYTES: u64 = 1_000;
/// Of which the maximum is no multiple.
const LARGE_BYTES: u64 = (1 << 20) + 12_345;

fn says_full(refusal: &Refusal) -> bool {
    refusal.status == 507 && refusal.code == "InsufficientStorage"
}

pub async fn scene(stage: &mut Stage, max: Maxima) -> anyhow::Result<()> {
    objects(stage, max).await?;
    bytes(stage, max).await?;
    println!(
        "fill passed: maxima of {} objects and {} bytes, each met exactly by clients at the same time",
        max.objects, max.bytes
    );
    Ok(())
}

async fn objects(stage: &mut Stage, max: Maxima) -> anyhow::Result<()> {
    let place = stage.place();
    let (mut held, refusals) = until_full(place, "small", |_| SMALL_BYTES, says_full).await?;
    println!("objects: {} acknowledged, then refused:{refusals}", held.held.len());
    anyhow::ensure!(held.held.len() as u64 == max.objects, "{} objects were taken of {}", held.held.len(), max.objects);
    // What is there may be written again, and read.
    let again = vec![SMALL_BYTES; 3];
    let some: Vec<_> = held.held.keys().take(again.len()).cloned().collect();
    anyhow::ensure!(some.iter().zip(0..).all(|(key, at)| *key == format!("small/{at:06}")), "the first keys are taken");
    held.write(place, "small", &again).await?;
    held.read(place).await?;
    // As many as go may come.
    let gone: Vec<_> = held.held.iter().skip(5).take(10).map(|(key, length)| (key.clone(), *length)).collect();
    held.delete(place, &gone).await?;
    let (more, _) = until_full(place, "more", |_| SMALL_BYTES, says_full).await?;
    anyhow::ensure!(more.held.len() == gone.len(), "{} objects came for {} that went", more.held.len(), gone.len());
    held.held.extend(more.held);
    held.read(place).await?;
    clear(stage, &mut held).await
}

async fn bytes(stage: &mut Stage, max: Maxima) -> anyhow::Result<()> {
    let place = stage.place();
    let (mut held, refusals) = until_full(place, "large", |_| LARGE_BYTES, says_full).await?;
    let taken: u64 = held.held.values().sum();
    println!("bytes: {taken} of {} acknowledged, then refused:{refusals}", max.bytes);
    let left = max.bytes.checked_sub(taken).filter(|left| *left < LARGE_BYTES);
    let Some(left) = left else { anyhow::bail!("{taken} bytes were taken of {}", max.bytes) };
    // To the last byte.
    refused(place, "one-too-many", left + 1, says_full).await?;
    held.write(place, "rest", &[left]).await?;
    refused(place, "one-more", 1, says_full).await?;
    held.read(place).await?;
    // Writes go on as soon as something is deleted.
    let gone: Vec<_> = held.held.iter().take(2).map(|(key, length)| (key.clone(), *length)).collect();
    held.delete(place, &gone).await?;
    held.write(place, "new", &[gone[0].1, gone[1].1]).await?;
    refused(place, "one-more", 1, says_full).await?;
    held.read(place).await?;
    clear(stage, &mut held).await
}

async fn clear(stage: &Stage, held: &mut Objects) -> anyhow::Result<()> {
    let all: Vec<_> = held.held.iter().map(|(key, length)| (key.clone(), *length)).collect();
    held.delete(stage.place(), &all).await.map(|_| ())
}
