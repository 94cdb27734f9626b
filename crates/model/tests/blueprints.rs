//! Every blueprint of the tree is valid, and what Terraform reads is the same blueprint.

use bulkhead_model::Blueprint;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new("../..").canonicalize().expect("the workspace root exists")
}

fn blueprints() -> Vec<(String, Blueprint)> {
    let entries = fs::read_dir(root().join("blueprints")).expect("the directory is there");
    let files = entries.map(|entry| entry.expect("readable").path());
    let parse = |file: PathBuf| {
        let stem = file.file_stem().expect("a name").to_string_lossy().into_owned();
        assert!(file.extension().is_some_and(|extension| extension == "toml"), "{} is no blueprint", file.display());
        let text = fs::read_to_string(&file).expect("UTF-8");
        (stem, Blueprint::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
    };
    files.map(parse).collect()
}

#[test]
fn every_blueprint_is_valid_and_named_after_its_file() {
    let blueprints = blueprints();
    assert!(blueprints.len() >= 2, "only {} blueprints: the directory is not read", blueprints.len());
    for (file, blueprint) in blueprints {
        assert_eq!(file, blueprint.name);
    }
}

#[test]
fn what_terraform_reads_is_the_blueprint_to_the_byte() {
    let mut seen = 0;
    for (file, blueprint) in blueprints().into_iter().filter(|(_, blueprint)| blueprint.machine.is_some()) {
        let copy = root().join(format!("terraform/environments/example/blueprints/{file}.json"));
        let text = fs::read_to_string(&copy).unwrap_or_else(|error| panic!("{}: {error}", copy.display()));
        let how = format!("bulkhead blueprint canonical blueprints/{file}.toml >{}", copy.display());
        assert_eq!(text.trim_end(), blueprint.canonical(), "it is out of date; write it anew: {how}");
        for test in ["cell", "fleet"] {
            let test = root().join(format!("terraform/tests/{test}.tftest.hcl"));
            let text = fs::read_to_string(&test).expect("UTF-8");
            assert!(text.contains(&blueprint.hash()), "{} does not name hash {}", test.display(), blueprint.hash());
        }
        seen += 1;
    }
    assert!(seen > 0, "no blueprint is for Terraform");
}
