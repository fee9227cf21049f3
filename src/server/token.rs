//! The bearer token that lets a caller in over HTTP, where the operator has set one: a credential of
//! systemd, or the file that the settings name. One token, one caller; it is never logged, and only
//! its digest is kept.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderValue, header};
use sha2::{Digest as _, Sha256};

use crate::trusted::{self, TrustError};

/// What a caller must send, as its SHA-256.
#[derive(Debug, Clone)]
pub(super) struct Token([u8; 32]);

/// Why the token cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    #[error("the token cannot be read")]
    Read(#[source] TrustError),
    #[error(
        "the token in {} has fewer than {LEAST} characters or others than visible ASCII; make one \
         with `openssl rand -hex 32`", path.display()
    )]
    Weak { path: PathBuf },
}

/// The name of the credential in systemd/primcs.service.
const CREDENTIAL: &str = "primcs.token";
/// What the unit passes when there is no file.
const NONE: &str = "\n";
const LEAST: usize = 32;

impl Token {
    /// Reads the credential that systemd has put into `credentials`, else the file of the settings. A
    /// line feed as credential is none: that is what the unit passes when the operator has made no
    /// file. A file without a byte is one that went wrong (`openssl | install` without openssl), and
    /// must not leave the door open.
    pub(super) fn load(
        credentials: Option<OsString>,
        named: Option<&Path>,
    ) -> Result<Option<Self>, TokenError> {
        let passed = credentials.map(|folder| Path::new(&folder).join(CREDENTIAL));
        if let Some(path) = passed.filter(|path| path.exists())
            && let Some(token) = read(&path, Some(NONE))?
        {
            return Ok(Some(token));
        }
        let Some(path) = named else { return Ok(None) };
        read(path, None)
    }

    /// Whether these headers carry it, and once.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let mut sent = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(sent), None) = (sent.next(), sent.next()) else { return false };
        bearer(sent).is_some_and(|token| {
            // Digests: how long the comparison takes says nothing about the token.
            <[u8; 32]>::from(Sha256::digest(token)) == self.0
        })
    }
}

/// Absent where the file holds `none` and nothing else.
fn read(path: &Path, none: Option<&str>) -> Result<Option<Token>, TokenError> {
    let text = trusted::read(path).map_err(TokenError::Read)?;
    if none == Some(&text) {
        return Ok(None);
    }
    let token = text.trim();
    if token.len() < LEAST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::Weak { path: path.to_owned() });
    }
    Ok(Some(Token(Sha256::digest(token).into())))
}

/// What follows the scheme, whose name is not case-sensitive (RFC 9110).
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "0123456789abcdef0123456789abcdef";

    fn headers(values: &[&str]) -> HeaderMap {
        let value = |text: &&str| (header::AUTHORIZATION, HeaderValue::from_str(text).unwrap());
        values.iter().map(value).collect()
    }

    #[test]
    fn only_the_token_itself_sent_once_is_admitted() {
        let token = Token(Sha256::digest(GOOD).into());
        for good in [format!("Bearer {GOOD}"), format!("bearer  {GOOD} ")] {
            assert!(token.admits(&headers(&[&good])), "{good}");
        }
        let twice = format!("Bearer {GOOD}");
        let longer = format!("Bearer {GOOD}0");
        for bad in [
            &[][..],
            &["Bearer"],
            &["Bearer "],
            &[GOOD],
            &["Basic 0123456789abcdef0123456789abcdef"],
            &[&longer],
            &[&twice, &twice],
        ] {
            assert!(!token.admits(&headers(bad)), "{bad:?}");
        }
    }

    #[test]
    fn a_line_feed_as_credential_is_none_and_a_weak_or_empty_token_is_refused() {
        let folder = std::env::temp_dir().join(format!("primcs-token-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let load = |text: &str| {
            std::fs::write(folder.join(CREDENTIAL), text).unwrap();
            Token::load(Some(folder.clone().into()), None)
        };
        let (none, empty) = (load("\n"), load(""));
        let (weak, good) = (load("secret"), load(&format!("{GOOD}\n")));
        let named = Token::load(None, Some(&folder.join(CREDENTIAL)));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(none.unwrap().is_none());
        assert!(empty.unwrap_err().to_string().contains("openssl rand"));
        assert!(weak.unwrap_err().to_string().contains("openssl rand"));
        assert!(good.unwrap().is_some() && named.unwrap().is_some());
        assert!(Token::load(None, None).unwrap().is_none());
    }
}
