//! Which settings there are. One that is not in this table does not exist; a name that went is not used again.

use super::Value;
use std::fmt;

/// What a setting may be, and what it is when nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Switch { default: bool },
    Number { min: u64, max: u64, unit: &'static str, default: u64 },
    Choice { of: &'static [&'static str], default: &'static str },
}

/// Who reads a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Every router, for each request by its cell and account.
    Routers,
    /// The nodes of each cell.
    Cells,
}

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    pub name: &'static str,
    pub kind: Kind,
    /// A change must say which version it was decided on.
    pub critical: bool,
    pub reader: Reader,
    /// Whether shares of the accounts may have values of their own.
    pub per_account: bool,
    pub about: &'static str,
}

/// `off`, `reads` or `all`.
pub static SECOND_TRIES: Setting = Setting {
    name: "router.second-tries",
    kind: Kind::Choice { of: &["off", "reads", "all"], default: "all" },
    critical: false,
    reader: Reader::Routers,
    per_account: true,
    about: "Which requests get a second try at another node while the first is silent.",
};

pub static THROTTLE: Setting = Setting {
    name: "router.throttle",
    kind: Kind::Switch { default: true },
    critical: false,
    reader: Reader::Routers,
    per_account: true,
    about: "Whether a router refuses by itself what is far beyond what a cell lately took from an account.",
};

/// Never more than a tenth on top: that is a promise.
pub static RETRY_PERCENT: Setting = Setting {
    name: "router.retry-percent",
    kind: Kind::Number { min: 0, max: 10, unit: "tries in a hundred requests", default: 10 },
    critical: true,
    reader: Reader::Routers,
    per_account: false,
    about: "Further tries that the requests of a cell earn.",
};

/// From the floor of repair, which tenants' load does not touch.
pub static REPAIR_RATE: Setting = Setting {
    name: "cell.repair-bytes-per-second",
    kind: Kind::Number { min: 16 << 20, max: 512 << 20, unit: "bytes/s of a node", default: 128 << 20 },
    critical: true,
    reader: Reader::Cells,
    per_account: false,
    about: "How fast a node makes missing copies at most.",
};

/// `gentle`, `normal` or `eager`.
pub static COMPACTION: Setting = Setting {
    name: "cell.compaction",
    kind: Kind::Choice { of: &["gentle", "normal", "eager"], default: "normal" },
    critical: false,
    reader: Reader::Cells,
    per_account: false,
    about: "How fast a node gives space back: at its slowest always, by what tenants leave, or by that though the disk is busy.",
};

/// All of them.
pub static KNOWN: [&Setting; 5] = [&SECOND_TRIES, &THROTTLE, &RETRY_PERCENT, &REPAIR_RATE, &COMPACTION];

/// A setting by its name.
pub fn known(name: &str) -> Option<&'static Setting> {
    KNOWN.into_iter().find(|setting| setting.name == name)
}

impl Kind {
    /// Whether a value is one of this kind, and within its bounds.
    pub fn admits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Switch { .. }, Value::Switch(_)) => true,
            (Self::Number { min, max, .. }, Value::Number(number)) => (min..=max).contains(&number),
            (Self::Choice { of, .. }, Value::Choice(word)) => of.contains(&word.as_str()),
            (Self::Switch { .. } | Self::Number { .. } | Self::Choice { .. }, _) => false,
        }
    }

    /// What it is when nothing is said.
    pub fn default(&self) -> Value {
        match *self {
            Self::Switch { default } => Value::Switch(default),
            Self::Number { default, .. } => Value::Number(default),
            Self::Choice { default, .. } => Value::Choice(default.to_owned()),
        }
    }
}

/// What is allowed.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch { .. } => f.write_str("true or false"),
            Self::Number { min, max, unit, .. } => write!(f, "{min} to {max} ({unit})"),
            Self::Choice { of, .. } => write!(f, "one of {}", of.join(", ")),
        }
    }
}
