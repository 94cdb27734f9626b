//! The shape of the source tree, enforced: sizes, headers, import directions, names that stay in one crate.
//!
//! There is no exemption list. A file that breaks a rule is changed, or the rule is.

use std::{
    fs,
    path::{Path, PathBuf},
};

const FILE_LINES_MAX: usize = 600;

/// Each crate, and the crates of the workspace it may name.
const CRATE_DIRECTIONS: [(&str, &[&str]); 8] = [
    ("crates/model", &[]),
    ("crates/service", &["bulkhead_model"]),
    ("crates/replica", &["bulkhead_model", "bulkhead_service"]),
    ("router", &["bulkhead_model", "bulkhead_service"]),
    ("cell", &["bulkhead_model", "bulkhead_service", "bulkhead_replica"]),
    ("control-plane", &["bulkhead_model", "bulkhead_service", "bulkhead_replica"]),
    ("loadtest", &["bulkhead_model"]),
    // A test and nothing else: the one place where a router, a cell and the load test's oracle meet.
    (
        "simulation",
        &[
            "bulkhead_model",
            "bulkhead_service",
            "bulkhead_replica",
            "bulkhead_router",
            "bulkhead_cell",
            "bulkhead_loadtest",
        ],
    ),
];

/// Each module of the cell, and the modules it may not use.
const CELL_DIRECTIONS: [(&str, &[&str]); 10] = [
    ("admit", &["ops", "meta", "chunks", "peer", "jobs", "admin", "node"]),
    ("limit", &["meta", "ops", "s3", "chunks", "peer", "jobs", "admin", "node"]),
    ("poison", &["meta", "ops", "s3", "chunks", "peer", "jobs", "admin", "node"]),
    ("meta", &["ops", "s3", "chunks", "peer", "jobs", "admin", "node"]),
    ("chunks", &["meta", "ops", "s3", "jobs", "admin", "node"]),
    ("peer", &["meta", "ops", "s3", "jobs", "admin", "node"]),
    ("ops", &["s3", "peer", "jobs", "admin", "node"]),
    ("s3", &["chunks", "peer", "jobs", "admin", "node"]),
    ("jobs", &["ops", "s3", "peer", "admin", "node"]),
    ("admin", &["ops", "s3", "peer", "node"]),
];

/// Names that only `crates/replica` may use.
const REPLICA_ONLY: [&str; 3] = ["openraft", "raft_log", "rocksdb"];

struct Source {
    /// Relative to the workspace root, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// The lines that satisfy `breaks`, as `path:line`. Comments are passed over.
    fn code_lines(&self, breaks: impl Fn(&str) -> bool) -> Vec<String> {
        let is_code = |line: &str| !line.trim_start().starts_with("//");
        let numbered = self.text.lines().enumerate();
        numbered
            .filter(|(_, line)| is_code(line) && breaks(line))
            .map(|(at, line)| format!("{}:{}: {}", self.path, at + 1, line.trim()))
            .collect()
    }
}

/// As cargo runs this: in its package. Where it was compiled may be another clone, which shares what is built.
fn root() -> PathBuf {
    let root = Path::new("../..").canonicalize().expect("the workspace root exists");
    assert!(root.join("Cargo.lock").exists(), "{} is not the workspace", root.display());
    root
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut sources = Vec::new();
    for (dir, _) in CRATE_DIRECTIONS {
        collect(&root, &root.join(dir), &mut sources);
    }
    assert!(sources.len() > 20, "only {} sources found: the walk is broken", sources.len());
    sources
}

fn collect(root: &Path, dir: &Path, into: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).expect("a directory of the workspace is readable") {
        let path = entry.expect("a directory entry is readable").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(root, &path, into);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("a source is UTF-8");
            into.push(Source { path: relative, text });
        }
    }
}

/// Whether a line of code names the crate `name`: `name::…` or `use name…`, not a longer word around it.
fn names_crate(line: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let whole = !before.ends_with(is_word) && !after.starts_with(is_word);
        whole && (after.starts_with("::") || before.trim_start() == "use ")
    })
}

#[track_caller]
fn assert_none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn no_file_passes_600_lines() {
    let lines = sources().into_iter().map(|source| (source.text.lines().count(), source.path));
    let broken: Vec<_> =
        lines.filter(|(n, _)| *n > FILE_LINES_MAX).map(|(n, path)| format!("{path}: {n} lines")).collect();
    assert_none("a file stays within 600 lines, tests included", &broken);
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//!"));
    assert_none("a module opens with //! and its purpose", &silent.map(|source| source.path).collect::<Vec<_>>());
}

#[test]
fn crates_depend_only_in_the_allowed_direction() {
    let crate_name =
        |dir: &str| format!("bulkhead_{}", dir.rsplit('/').next().expect("a path has a last part").replace('-', "_"));
    let mut broken = Vec::new();
    for source in sources() {
        let inside = |dir: &str| source.path.starts_with(&format!("{dir}/"));
        let (own, allowed) = CRATE_DIRECTIONS.iter().find(|(dir, _)| inside(dir)).expect("every source is in a crate");
        for (dir, _) in CRATE_DIRECTIONS.iter().filter(|(dir, _)| dir != own) {
            let name = crate_name(dir);
            if !allowed.contains(&name.as_str()) {
                broken.extend(source.code_lines(|line| names_crate(line, &name)));
            }
        }
    }
    assert_none(
        "model <- service <- replica <- cell | control-plane; service <- router; model <- loadtest; all <- simulation",
        &broken,
    );
}

#[test]
fn the_simulation_is_a_test_and_no_library() {
    let outside = sources().into_iter().filter(|source| source.path.starts_with("simulation/"));
    let broken: Vec<_> =
        outside.map(|source| source.path).filter(|path| !path.starts_with("simulation/tests/")).collect();
    assert_none("the simulation has tests alone, so that no server crate can reach another through it", &broken);
}

#[test]
fn modules_of_the_cell_point_only_downwards() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(inside) = source.path.strip_prefix("cell/src/") else { continue };
        let is_in = |module: &str| inside.starts_with(&format!("{module}/")) || inside == format!("{module}.rs");
        let Some((_, forbidden)) = CELL_DIRECTIONS.iter().find(|(module, _)| is_in(module)) else { continue };
        for module in *forbidden {
            let (path, name) = (format!("crate::{module}::"), format!("crate::{module};"));
            broken.extend(source.code_lines(|line| line.contains(&path) || line.contains(&name)));
        }
    }
    assert_none("s3 -> ops -> meta -> replica; ops -> chunks; jobs -> meta, chunks; node -> all", &broken);
}

#[test]
fn only_replica_names_raft_and_rocksdb() {
    let outside = sources().into_iter().filter(|source| !source.path.starts_with("crates/replica/"));
    let names = |line: &str| REPLICA_ONLY.iter().any(|name| names_crate(line, name));
    let broken: Vec<_> = outside.flat_map(|source| source.code_lines(names)).collect();
    assert_none("openraft, raft-log and rocksdb are named in crates/replica alone", &broken);
}

#[test]
fn unfinished_work_has_a_reference() {
    // Put together here, so that this file does not break its own rule.
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let mut broken = Vec::new();
    for source in sources() {
        for (at, line) in source.text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str()) && !line.contains(&format!("{word}(#"))) {
                broken.push(format!("{}:{}", source.path, at + 1));
            }
        }
    }
    assert_none("unfinished work is written with a reference, as in WORD(#12)", &broken);
}

#[test]
fn nothing_is_stubbed_or_ignored() {
    let words = [["to", "do!("].concat(), ["unimple", "mented!("].concat(), ["#[ig", "nore"].concat()];
    let is_stub = |line: &str| words.iter().any(|word| line.contains(word.as_str()));
    let broken: Vec<_> = sources().into_iter().flat_map(|source| source.code_lines(is_stub)).collect();
    assert_none("no stubs, no ignored tests", &broken);
}

#[test]
fn the_documents_a_stranger_needs_are_there_and_short() {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    for (file, lines_max) in [
        ("README.md", 100),
        ("ARCHITECTURE.md", 300),
        ("LICENSE", usize::MAX),
        ("docs/invariants.md", usize::MAX),
        ("docs/s3.md", usize::MAX),
        ("docs/operations.md", usize::MAX),
    ] {
        let lines = read(file).lines().count();
        assert!((1..=lines_max).contains(&lines), "{file} has {lines} lines, allowed are 1 to {lines_max}");
    }
}

#[test]
fn every_test_named_as_evidence_exists() {
    let invariants = fs::read_to_string(root().join("docs/invariants.md")).expect("the document is there");
    let sources = sources();
    let rows = invariants.lines().filter(|line| line.starts_with("| P"));
    let evidence = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    let names: Vec<&str> = evidence.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 20, "only {} tests are named: the table is not read", names.len());
    let is_there = |name: &str| {
        let (function, case) = (format!("fn {name}("), format!("\"{name}\""));
        sources.iter().any(|source| source.text.contains(&function) || source.text.contains(&case))
    };
    let missing: Vec<String> = names.into_iter().filter(|name| !is_there(name)).map(str::to_owned).collect();
    assert_none("a test named in docs/invariants.md exists", &missing);
}
