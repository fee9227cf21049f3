//! The bearer token that lets a caller in over HTTP, where the operator has set one: a credential of
//! systemd, or the file that the settings name. One token, one caller; it is never logged, and only
//! its digest is kept.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderValue, header};
use nix::unistd::{getegid, geteuid};
use sha2::{Digest as _, Sha256};

use crate::trusted::{self, TrustError};

use super::start;

/// What a caller must send, as its SHA-256.
#[derive(Debug, Clone)]
pub(super) struct Token([u8; 32]);

/// Why the token cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenError {
    #[error("the token cannot be read")]
    Read(#[source] TrustError),
    #[error(
        "{reader} reads the token, and may not open {}; run as root: chgrp {group} {} && \
         chmod {mode} {}", path.display(), path.display(), path.display()
    )]
    Forbidden { path: PathBuf, reader: String, group: u32, mode: &'static str },
    #[error(
        "the token in {} has fewer than {LEAST} characters or others than visible ASCII; make one \
         with `openssl rand -hex 32`", path.display()
    )]
    Weak { path: PathBuf },
    #[error("everybody may read the token in {}; take that away: chmod o-r", path.display())]
    Open { path: PathBuf },
}

/// The name of the credential in systemd/primcs.service.
const CREDENTIAL: &str = "primcs.token";
const LEAST: usize = 32;

impl Token {
    /// Reads the credential that systemd has put into `credentials`, else the file of the settings. A
    /// line feed alone is none: that is what the unit passes when the operator has made no file. Nothing
    /// at all is what `openssl` leaves where it is not installed, and no token; one that cannot be read
    /// was meant, too.
    pub(super) fn load(
        credentials: Option<OsString>,
        named: Option<&Path>,
    ) -> Result<Option<Self>, TokenError> {
        let passed = credentials.map(|folder| Path::new(&folder).join(CREDENTIAL));
        match passed.map(|path| read(&path)) {
            None | Some(Ok(None)) => {}
            Some(Err(TokenError::Read(error))) if error.is_absent() => {}
            Some(found) => return found,
        }
        let Some(path) = named else { return Ok(None) };
        let weak = || TokenError::Weak { path: path.to_owned() };
        read(path).map_err(forbidden)?.ok_or_else(weak).map(Some)
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

fn read(path: &Path) -> Result<Option<Token>, TokenError> {
    let text = trusted::read(path).map_err(TokenError::Read)?;
    // What `trusted` has judged is who may write it.
    if std::fs::metadata(path).is_ok_and(|found| found.mode() & 0o004 != 0) {
        return Err(TokenError::Open { path: path.to_owned() });
    }
    let token = text.trim();
    if token.is_empty() && !text.is_empty() {
        return Ok(None);
    }
    if token.len() < LEAST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::Weak { path: path.to_owned() });
    }
    Ok(Some(Token(Sha256::digest(token).into())))
}

/// Who started us may read it, and we have become somebody else: that has to be said.
fn forbidden(error: TokenError) -> TokenError {
    let TokenError::Read(TrustError::Open { path, whole, source }) = &error else { return error };
    if source.kind() != ErrorKind::PermissionDenied {
        return error;
    }
    // A folder on the way to it, or the file itself.
    let mode = if path == whole { "640" } else { "g+x" };
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let name = start::name_of(uid).map_or_else(String::new, |name| format!(" ({name})"));
    let reader = format!("user {uid}{name}");
    TokenError::Forbidden { path: path.clone(), reader, group: gid, mode }
}

/// What follows the scheme, whose name is not case-sensitive (RFC 9110).
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

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

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_line_feed_is_none_and_a_weak_or_empty_token_is_refused() {
        let folder = std::env::temp_dir().join(format!("primcs-token-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let load = |text: &str| {
            write(&folder.join(CREDENTIAL), text, 0o640);
            Token::load(Some(folder.clone().into()), None)
        };
        let (none, good) = (load("\n"), load(&format!("{GOOD}\n")));
        let named = Token::load(None, Some(&folder.join(CREDENTIAL)));
        for weak in ["secret", ""] {
            assert!(load(weak).unwrap_err().to_string().contains("openssl rand"), "{weak:?}");
        }
        write(&folder.join(CREDENTIAL), GOOD, 0o644);
        let open = Token::load(Some(folder.clone().into()), None);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(open, Err(TokenError::Open { .. })), "{open:?}");
        assert!(none.unwrap().is_none());
        assert!(good.unwrap().is_some() && named.unwrap().is_some());
        assert!(Token::load(None, None).unwrap().is_none());
        assert!(Token::load(Some(folder.into()), None).unwrap().is_none());
    }

    /// As when the server has given up root, whose credentials these were. A link stands for it, since
    /// root, which tests are run as, may enter everything.
    #[test]
    fn a_credential_that_is_there_and_cannot_be_read_is_not_taken_for_none() {
        let folder = std::env::temp_dir().join(format!("primcs-unreadable-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink("/nonexistent", folder.join(CREDENTIAL)).unwrap();
        let found = Token::load(Some(folder.clone().into()), None);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(found, Err(TokenError::Read(_))), "{found:?}");
    }
}
