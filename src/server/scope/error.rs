//! Why systemd gave us no scope, and one thing to do about each.
#![forbid(unsafe_code)]

use std::io;
use std::path::PathBuf;

use crate::trusted::TrustError;

use super::{PATIENCE, is_root};

pub(super) const BUSCTL: &str = "/usr/bin/busctl";

/// Why systemd gave us no scope.
#[derive(Debug, thiserror::Error)]
pub(in crate::server) enum ScopeError {
    #[error("no user manager runs for user {uid} (no {} of this user's own)", runtime.display())]
    NoManager { uid: u32, runtime: PathBuf },
    #[error("the user manager cannot be asked: {} is not there", bus.display())]
    NoBus { bus: PathBuf },
    #[error("cannot use {BUSCTL}")]
    Busctl(#[source] TrustError),
    #[error("cannot start {BUSCTL}")]
    Start(#[source] io::Error),
    #[error("systemd refused: {said}")]
    Refused { said: String },
    #[error("systemd did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    #[error("systemd made the scope {name}, and has not moved this process there")]
    NotMoved { name: String },
}

impl ScopeError {
    /// One thing to do.
    pub(in crate::server) fn next(&self) -> String {
        match self {
            Self::NoManager { uid, .. } => format!(
                "loginctl enable-linger {uid} as root, once, so that a user manager always runs for \
                 this user; or log in through PAM (ssh, a console; not su or sudo); or run primcs as \
                 a service of root"
            ),
            Self::NoBus { .. } => "install the bus of user managers (Debian, Ubuntu: apt install \
                 dbus-user-session) and log in again"
                .to_owned(),
            Self::Busctl(error) => error.next(),
            Self::Start(_) | Self::Refused { .. } | Self::Silent | Self::NotMoved { .. } => {
                let (user, run) = if is_root() { ("", "") } else { ("--user ", "--user ") };
                format!(
                    "look into `systemctl {user}status` and `journalctl {user}-e`; or try by hand: \
                     systemd-run {run}--scope -p Delegate=yes primcs serve"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_to_do() {
        let runtime = PathBuf::from("/run/user/7");
        let none = ScopeError::NoManager { uid: 7, runtime: runtime.clone() };
        assert!(none.next().contains("loginctl enable-linger 7"));
        assert!(ScopeError::NoBus { bus: runtime }.next().contains("dbus-user-session"));
        let refused = ScopeError::Refused { said: "Access denied".to_owned() };
        assert!(refused.to_string().contains("Access denied"));
        assert!(refused.next().contains("Delegate=yes"));
    }
}
