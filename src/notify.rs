//! What systemd is told (`sd_notify(3)`): that we are ready, that we stop, that we still turn.
//!
//! Trusts `NOTIFY_SOCKET` and `WATCHDOG_USEC` of whoever started us. The socket is connected once,
//! at the start: the server's filter leaves it no way to connect later.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// The way to the service manager; without one, all that is said goes nowhere.
#[derive(Debug, Default)]
pub struct Notify {
    socket: Option<UnixDatagram>,
    /// How often the manager's watchdog wants to hear of us, and when next.
    watchdog: Option<(Duration, Instant)>,
}

/// A manager that does not read must not hold up the runs of others.
const PATIENCE: Duration = Duration::from_millis(500);

impl Notify {
    /// Connects to the manager that `get`, the environment, names.
    pub fn connect(get: impl Fn(&'static str) -> Option<OsString>) -> io::Result<Self> {
        let Some(name) = get("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let allowed = get("WATCHDOG_USEC").and_then(|micros| micros.to_str()?.parse().ok());
        // Twice in the time allowed, as sd_watchdog_enabled(3) advises.
        let watchdog = allowed.map(|micros: u64| Duration::from_micros(micros / 2));
        let watchdog = watchdog.filter(|every| !every.is_zero());
        Ok(Self { socket: Some(socket), watchdog: watchdog.map(|every| (every, Instant::now())) })
    }

    /// Says one thing, such as `READY=1`. What is not heard is what the manager's own time-outs are
    /// for.
    pub fn say(&self, state: &str) {
        if let Some(socket) = &self.socket {
            let _unheard = socket.send(state.as_bytes());
        }
    }

    /// To be called from the loop that does the work, so that one which no longer turns is restarted.
    pub fn show_life(&mut self, now: Instant) {
        if let Some((every, next)) = self.watchdog
            && next <= now
        {
            self.say("WATCHDOG=1");
            self.watchdog = Some((every, now + every));
        }
    }

    /// When [`Notify::show_life`] has something to say again.
    #[must_use]
    pub fn next_sign_of_life(&self) -> Option<Instant> {
        self.watchdog.map(|(_, next)| next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_hears_what_is_said_at_a_path_and_at_an_abstract_name() {
        let path = std::env::temp_dir().join(format!("primcs-notify-{}", std::process::id()));
        let name = format!("primcs-notify-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        let managers = [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&abstract_name).unwrap(), format!("@{name}").into()),
        ];
        for (manager, named) in managers {
            let notify = Notify::connect(|variable| match variable {
                "NOTIFY_SOCKET" => Some(named.clone()),
                "WATCHDOG_USEC" => Some("3000000".into()),
                _ => None,
            });
            let mut notify = notify.unwrap();
            let now = Instant::now();
            notify.say("READY=1");
            // The second of the two is not due yet.
            notify.show_life(now + Duration::from_millis(1));
            notify.show_life(now + Duration::from_millis(1400));
            notify.say("STOPPING=1");
            for expected in ["READY=1", "WATCHDOG=1", "STOPPING=1"] {
                let mut heard = [0; 16];
                let length = manager.recv(&mut heard).unwrap();
                assert_eq!(&heard[..length], expected.as_bytes());
            }
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn without_a_manager_nothing_is_said_and_one_that_is_gone_is_an_error() {
        let nobody = Notify::connect(|_| None).unwrap();
        nobody.say("READY=1");
        assert_eq!(nobody.next_sign_of_life(), None);
        let gone = |name| (name == "NOTIFY_SOCKET").then(|| OsString::from("/nonexistent/notify"));
        assert!(Notify::connect(gone).is_err());
    }
}
