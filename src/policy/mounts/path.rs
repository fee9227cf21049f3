//! Paths as policy files write them: plain, without `.`, `..`, empty parts or control characters,
//! so that joining one to a root cannot lead out of it.
#![forbid(unsafe_code)]

use serde::Deserialize;

/// An absolute path without empty, `.` or `..` components and without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct RootPath(String);

/// A relative path of the same plainness.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct RelativePath(String);

/// One plain component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct FileName(String);

impl RootPath {
    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same path relative to the root; empty for the root itself.
    #[must_use]
    pub fn below_root(&self) -> &str {
        self.0.strip_prefix('/').unwrap_or(&self.0)
    }
}

impl RelativePath {
    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FileName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RootPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = text == "/" || text.strip_prefix('/').is_some_and(is_plain);
        if plain { Ok(Self(text)) } else { Err(format!("{text:?} is not a plain absolute path")) }
    }
}

impl TryFrom<String> for RelativePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if is_plain(&text) {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is not a plain relative path"))
        }
    }
}

impl TryFrom<String> for FileName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = is_plain(&text) && !text.contains('/');
        if plain { Ok(Self(text)) } else { Err(format!("{text:?} is not a plain file name")) }
    }
}

fn is_plain(path: &str) -> bool {
    let component =
        |part: &str| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control);
    path.split('/').all(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_taken() {
        for path in ["/", "/usr", "/usr/lib/git-core"] {
            RootPath::try_from(path.to_owned()).unwrap();
        }
        for path in ["", "usr", "//", "/usr/", "/usr/../etc", "/./usr", "/usr//lib", "/a\n", "/a\0"]
        {
            RootPath::try_from(path.to_owned()).unwrap_err();
        }
        for path in ["", "/etc", "..", "a/../b", "a/", "."] {
            RelativePath::try_from(path.to_owned()).unwrap_err();
        }
        FileName::try_from("[".to_owned()).unwrap();
        FileName::try_from("a/b".to_owned()).unwrap_err();
    }
}
