//! How an error is told: with its causes, on one line. Trusts nothing; the text is for people.
#![forbid(unsafe_code)]

use std::error::Error;

/// The error and its causes.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
