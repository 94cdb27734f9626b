//! The command line as its users meet it: parsing, help, and what is printed.

use super::{
    Arguments,
    output::{Output, facts, table, time},
};
use bulkhead_model::Timestamp;
use clap::{Command, CommandFactory as _, Parser as _};

fn leaves(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
    for child in command.get_subcommands().filter(|child| child.get_name() != "help") {
        let path = format!("{path} {}", child.get_name());
        found.push((path.clone(), child.clone()));
        leaves(child, &path, found);
    }
}

#[test]
fn every_commands_help_has_an_example_that_parses() {
    let mut found = Vec::new();
    leaves(&Arguments::command(), "bulkhead", &mut found);
    assert!(found.len() > 15, "only {} commands", found.len());
    for (path, command) in found {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let example = help.strip_prefix("Example: ").unwrap_or_else(|| panic!("{path} --help has no example"));
        assert!(example.starts_with(&path), "the example of {path} is of another command: {example}");
        let parsed = Arguments::try_parse_from(example.split_whitespace());
        assert!(parsed.is_ok(), "{example}: {}", parsed.expect_err("shown").render());
    }
}

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn a_wrong_id_is_refused_with_what_is_allowed() {
    let error = Arguments::try_parse_from(["bulkhead", "account", "show", "12"]).expect_err("too short").to_string();
    assert!(error.contains("exactly 12 decimal digits"), "{error}");
    let error =
        Arguments::try_parse_from(["bulkhead", "cell", "stamp", "--name", "C_1"]).expect_err("no label").to_string();
    assert!(error.contains("1 to 32 of a-z, 0-9 and '-'"), "{error}");
}

#[test]
fn tables_are_aligned_and_empty_ones_say_what_to_do() {
    let rows = [["c1".to_owned(), "active".to_owned()], ["cell-two".to_owned(), "failed".to_owned()]];
    assert_eq!(table(["cell", "state"], &rows, "none"), "CELL      STATE\nc1        active\ncell-two  failed\n");
    assert_eq!(table(["cell"], &[], "There are none."), "There are none.\n");
    assert_eq!(facts(&[("name", "Ada".into()), ("id", "1".into())]), "name  Ada\nid    1\n");
    assert_eq!(time(Timestamp(1_800_000_000_123)), "2027-01-15T08:00:00Z");
}

#[test]
fn programs_get_json_and_people_do_not() {
    let output = Output::new("one\n".into(), &[1]);
    assert_eq!((output.render(false).as_str(), output.render(true).as_str()), ("one\n", "[\n  1\n]\n"));
}
