//! One HTML file that a person would show in a review: verdict, criteria, plots. No script, nothing that is fetched.

mod page;
mod plot;
mod sections;

pub use sections::{of_report, of_trace};
