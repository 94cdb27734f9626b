//! Real clients: aws-cli, boto3, rclone, restic, curl, this crate's own commands, and requests that
//! no honest client sends.

mod accounts;
mod aws;
mod boto3;
mod commands;
mod files;
mod sync_tools;
mod wire;

use crate::support::suite::Case;
use futures::FutureExt;

pub const CASES: &[Case] = &[
    ("aws_cli_copies_small_and_large_objects_up_and_down", |fleet| aws::copies(fleet).boxed_local()),
    ("aws_cli_copies_one_gibibyte", |fleet| aws::copies_one_gib(fleet).boxed_local()),
    ("aws_cli_syncs_lists_and_removes_2000_small_files", |fleet| aws::syncs(fleet).boxed_local()),
    ("a_url_presigned_by_aws_cli_is_fetched_by_curl", |fleet| aws::presigns(fleet).boxed_local()),
    ("aws_cli_does_not_wait_after_an_empty_object", |fleet| aws::empty_objects(fleet).boxed_local()),
    ("boto3_transfers_and_does_not_wait_after_early_answers", |fleet| boto3::transfers(fleet).boxed_local()),
    ("rclone_syncs_and_checks", |fleet| sync_tools::rclone(fleet).boxed_local()),
    ("restic_backs_up_checks_and_restores", |fleet| sync_tools::restic(fleet).boxed_local()),
    ("s3cmd_puts_lists_gets_and_deletes", |fleet| sync_tools::s3cmd(fleet).boxed_local()),
    ("accounts_are_placed_in_both_cells", |fleet| accounts::placed(fleet).boxed_local()),
    ("an_account_sees_only_its_own_buckets", |fleet| accounts::isolated(fleet).boxed_local()),
    ("racers_have_exactly_one_winner", |fleet| commands::racers(fleet).boxed_local()),
    ("a_delimiter_listing_touches_as_many_keys_as_prefixes", |fleet| commands::listing(fleet).boxed_local()),
    ("a_large_object_passes_through_little_memory", |fleet| commands::bigobject(fleet).boxed_local()),
    ("the_benchmark_runs", |fleet| commands::bench(fleet).boxed_local()),
    ("requests_that_two_servers_may_read_differently_are_refused", |fleet| wire::smuggling(fleet).boxed_local()),
    ("an_expectation_is_answered_before_the_body", |fleet| wire::expectations(fleet).boxed_local()),
];
