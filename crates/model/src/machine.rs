//! What a node runs on where machines are rented. It is part of a blueprint, so that cells of one blueprint are alike in this too.
//!
//! Read by Terraform; the local provisioner has no use for it. Bounds are those that AWS documents for its volumes.

use crate::blueprint::{Blueprint, BlueprintError, Redundancy};
use serde::{Deserialize, Serialize};

/// Of a volume, what objects and index may fill. The rest is what compaction leaves dead, the log, and the reserve for compaction.
pub const FILLED_PERCENT_MAX: u64 = 70;
/// What the index keeps of one object beside its body, bytes.
pub const INDEX_RECORD_BYTES: u64 = 1 << 10;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// A node's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// As AWS names it, for example `m6in.2xlarge`.
    pub instance_type: String,
    pub volume: Volume,
}

/// The one volume that holds all of a node: log, index and chunks share a disk, since its reserve is theirs together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    pub kind: VolumeKind,
    /// A whole number of GiB.
    pub bytes: u64,
    pub iops: u64,
    /// Bytes per second, a whole number of MiB. Only `gp3` takes it; `io2` has what its IOPS give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput_bytes: Option<u64>,
}

/// Kinds of volumes whose IOPS are stated and not a matter of credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeKind {
    Gp3,
    Io2,
}

impl Machine {
    /// Whether such a machine exists, and holds a node of `blueprint`.
    ///
    /// # Errors
    /// [`BlueprintError::Invalid`] names the first figure that is wrong.
    pub(crate) fn validate(&self, blueprint: &Blueprint) -> Result<(), BlueprintError> {
        let is_type = |text: &str| {
            let part = |text: &str| {
                !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            };
            text.split_once('.').is_some_and(|(family, size)| part(family) && part(size))
        };
        if !is_type(&self.instance_type) {
            return Err(blueprint.invalid(
                "machine.instance_type",
                format!("{:?}", self.instance_type),
                "a family, a dot and a size, as m6in.2xlarge".into(),
                "AWS knows it by that",
            ));
        }
        self.volume.validate(blueprint)
    }
}

impl Volume {
    fn validate(&self, blueprint: &Blueprint) -> Result<(), BlueprintError> {
        let gib = self.bytes / GIB;
        let (largest, iops_min, iops_max, iops_per_gib) = match self.kind {
            VolumeKind::Gp3 => (16 * TIB, 3_000, 16_000, 500),
            VolumeKind::Io2 => (64 * TIB, 100, 256_000, 1_000),
        };
        blueprint.check(
            "machine.volume.bytes",
            self.bytes,
            filled(blueprint).saturating_mul(100).div_ceil(FILLED_PERCENT_MAX),
            largest,
            "a node's share of the declared bytes and the whole index, each object inlined, fill at most 70% of it",
        )?;
        blueprint.check("machine.volume.bytes (beyond whole GiB)", self.bytes % GIB, 0, 0, "volumes have whole GiB")?;
        let most = iops_max.min(gib.saturating_mul(iops_per_gib));
        blueprint.check("machine.volume.iops", self.iops, iops_min, most, "a volume of this kind and size has them")?;
        match (self.kind, self.throughput_bytes) {
            (VolumeKind::Io2, None) => Ok(()),
            (VolumeKind::Io2, Some(throughput)) => Err(blueprint.invalid(
                "machine.volume.throughput_bytes",
                throughput.to_string(),
                "left out".into(),
                "a volume of kind io2 has the throughput that its IOPS give",
            )),
            (VolumeKind::Gp3, throughput) => {
                let throughput = throughput.unwrap_or(0);
                // 0.25 MiB/s for each of its IOPS.
                let most = (1_000 * MIB).min(self.iops * MIB / 4);
                let (what, why) = ("machine.volume.throughput_bytes", "a volume of kind gp3 with these IOPS has it");
                blueprint.check(what, throughput, 125 * MIB, most, why)?;
                blueprint.check(
                    "machine.volume.throughput_bytes (beyond whole MiB)",
                    throughput % MIB,
                    0,
                    0,
                    "AWS takes whole MiB",
                )
            }
        }
    }
}

/// Bytes on one node of a cell that is full: its share of the copies, and the index, which every node has whole.
fn filled(blueprint: &Blueprint) -> u64 {
    let Redundancy::Replicate { copies } = blueprint.redundancy;
    let (capacity, sizes) = (&blueprint.capacity, &blueprint.sizes);
    let copied = u128::from(capacity.bytes) * u128::from(copies) / u128::from(blueprint.nodes().max(1));
    let indexed = u128::from(capacity.objects) * u128::from(u64::from(sizes.inline_bytes_max) + INDEX_RECORD_BYTES);
    u64::try_from(copied + indexed).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = include_str!("../../../blueprints/aws-small.toml");

    fn refusal(from: &str, to: &str) -> String {
        assert!(SMALL.contains(from), "{from:?} is not in the file");
        Blueprint::parse(&SMALL.replace(from, to)).expect_err(to).to_string()
    }

    #[test]
    fn a_volume_that_cannot_hold_what_the_cell_declares_is_refused_with_both_numbers() {
        let error = refusal("bytes = 4398046511104", "bytes = 2199023255552");
        let needed = (6_597_069_766_656_u64 / 3 + 50_000_000 * (16_384 + 1_024)) * 10;
        let needed = needed.div_ceil(7);
        assert!(error.contains(&format!("machine.volume.bytes is 2199023255552, but must be {needed} to")), "{error}");
    }

    #[test]
    fn figures_that_no_volume_has_are_refused() {
        for (from, to, reason) in [
            ("iops = 12000", "iops = 16001", "machine.volume.iops is 16001, but must be 3000 to 16000"),
            ("iops = 12000", "iops = 2999", "machine.volume.iops is 2999"),
            (
                "throughput_bytes = 524288000",
                "throughput_bytes = 2097152000",
                "throughput_bytes is 2097152000, but must be 131072000 to 1048576000",
            ),
            ("throughput_bytes = 524288000", "throughput_bytes = 524288001", "whole MiB"),
            ("throughput_bytes = 524288000", "", "throughput_bytes is 0"),
            ("kind = \"gp3\"", "kind = \"io2\"", "must be left out"),
            ("kind = \"gp3\"", "kind = \"st1\"", "unknown variant"),
            ("\"m6in.2xlarge\"", "\"large\"", "a family, a dot and a size"),
        ] {
            let error = refusal(from, to);
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn an_io2_volume_has_more_iops_and_no_throughput_of_its_own() {
        let text = SMALL.replace("kind = \"gp3\"", "kind = \"io2\"").replace("iops = 12000", "iops = 64000");
        let text = text.replace("throughput_bytes = 524288000", "");
        let machine = Blueprint::parse(&text).expect("valid").machine.expect("named");
        assert_eq!((machine.volume.kind, machine.volume.iops), (VolumeKind::Io2, 64_000));
    }
}
