//! The reason every policy entry must have. Trusts nothing: an empty one does not load.
#![forbid(unsafe_code)]

use std::fmt;

use serde::Deserialize;

/// Why an entry is there: one line of plain text, never empty.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Reason(String);

impl Reason {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for Reason {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.trim().is_empty() {
            return Err("the reason is empty; say in one line why this entry is needed");
        }
        // Reasons are printed to terminals.
        if text.chars().any(char::is_control) {
            return Err("the reason has a line break or control character; write one plain line");
        }
        Ok(Self(text))
    }
}
