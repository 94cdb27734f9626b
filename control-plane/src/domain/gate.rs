//! The gate: no cell takes an account without a certificate that holds for its blueprint and its build. Pure.
//!
//! The certificate itself is judged by [`certificate::verify`]: signature first, then time, blueprint, build, cell, profile, and every
//! figure against its threshold. The band around the blueprint's reference is demanded of full certifications; a quick one, made on a
//! machine that is busy with other things, is compared and the difference told, but does not decide.

use crate::store::record::Certified;
use bulkhead_model::{
    CellId, Timestamp, VerifyingKey,
    certificate::{self, Certificate, Expectations, ParseError, Reference, Statement},
    certification::{Certification, Profile},
};
use sha2::{Digest as _, Sha256};

/// What a cell's certificate has to be of.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    pub cell: &'a CellId,
    pub blueprint_hash: &'a str,
    /// What the blueprint asks for.
    pub certification: &'a Certification,
    /// What every node of the cell runs.
    pub build: &'a str,
    pub now: Timestamp,
    /// Who certifies here.
    pub key: &'a VerifyingKey,
    /// The certificate that cells of this blueprint are compared with; `None` for the first.
    pub reference: Option<&'a Statement>,
}

/// Why a certificate does not open a cell.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    #[error(transparent)]
    Unreadable(#[from] ParseError),
    #[error("the certificate does not hold: {0}")]
    Refused(#[from] certificate::Refusal),
}

/// A certificate that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    pub certified: Certified,
    /// What lies outside the band around the reference, where the band does not decide.
    pub remarks: Vec<String>,
}

/// Judges a document.
///
/// # Errors
/// [`GateError`] with the first reason.
pub fn admit(document: &[u8], demand: &Demand<'_>) -> Result<Admitted, GateError> {
    let certificate = Certificate::parse(document)?;
    let band_percent = demand.certification.band_percent;
    let reference = demand.reference.map(|statement| Reference { statement, band_percent });
    let decides = demand.certification.profile == Profile::Full;
    let expected = Expectations {
        blueprint_hash: demand.blueprint_hash,
        build: demand.build,
        now: demand.now,
        key: demand.key,
        cell: Some(demand.cell),
        profile: demand.certification.profile,
        reference: reference.filter(|_| decides),
    };
    certificate::verify(&certificate, &expected)?;
    let statement = &certificate.statement;
    let outside = reference.filter(|_| !decides).map(|reference| certificate::outside_band(statement, &reference));
    let remarks = outside.unwrap_or_default().iter().map(ToString::to_string).collect();
    let certified = Certified {
        blueprint_hash: statement.blueprint_hash.clone(),
        build: statement.build.clone(),
        digest: hex::encode(Sha256::digest(document)),
        issued: statement.issued,
        expires: statement.expires,
    };
    Ok(Admitted { certified, remarks })
}

/// The statement of a certificate that was admitted before, as the reference for others; `None` when it cannot be read.
pub fn reference(document: &str) -> Option<Statement> {
    Certificate::parse(document.as_bytes()).ok().map(|certificate| certificate.statement)
}

#[cfg(test)]
#[path = "gate_tests.rs"]
pub(crate) mod tests;
