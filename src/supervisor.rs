//! The privileged half: one thread, no network, no runtime. [`startup`] makes the host ready,
//! [`serve`] is the loop, [`runs`] are what it drives, [`nursery`] makes their processes.
//!
//! One life serves one server. Descriptor 0 is the connection to it, made by the server that started
//! us, or, as a service, the socket on which systemd listens and we take the first that comes.
#![forbid(unsafe_code)]

pub mod admission;
pub mod arguments;
pub mod audit;
pub mod base;
pub mod door;
pub mod host;
pub mod identities;
pub mod instance;
pub mod integrity;
pub mod locks;
pub mod nursery;
pub mod outbox;
pub mod plans;
pub mod probe;
pub mod runs;
pub mod serve;
pub mod sockets;
pub mod startup;
pub mod verdict;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::causes::with_causes;
use crate::notify::Notify;
use crate::sys::descriptors;
use crate::wire::{self, ToServer, ToSupervisor, Unable};

/// The supervisor's life: ready the host, serve, leave nothing.
#[must_use]
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    // Whatever the starter left open is neither ours nor a run's.
    if descriptors::close_from(3).is_err() {
        return ExitCode::FAILURE;
    }
    // Six descriptors a run; the usual soft limit of 1,024 is for programs that use select(2).
    let nofile = Resource::RLIMIT_NOFILE;
    if getrlimit(nofile).and_then(|(_, hard)| setrlimit(nofile, hard, hard)).is_err() {
        return ExitCode::FAILURE;
    }
    // A terminal's Ctrl-C is the server's to handle; it tells us.
    let _already_leader = nix::unistd::setsid();
    // Started by descriptor it would be called by a number.
    let _cosmetic = nix::sys::prctl::set_name(c"primcs-supervisor");
    let Ok(server) = descriptors::take_stdin() else {
        log(format_args!("descriptor 0 is not open; it is started by `primcs`, not by hand"));
        return ExitCode::FAILURE;
    };
    let notify = match Notify::connect(std::env::var_os) {
        Ok(notify) => notify,
        Err(error) => {
            log(format_args!("cannot speak with the service manager (NOTIFY_SOCKET): {error}"));
            return ExitCode::FAILURE;
        }
    };
    // Asked now: within namespaces of our own we would be called 0.
    let rootless = !nix::unistd::geteuid().is_root();
    let ready = match startup::ready(arguments) {
        Ok(ready) => ready,
        Err(error) => return refuse(server, error.unable(rootless)),
    };
    let cgroup = ready.cgroup.clone();
    let served = serve::Serving::new(ready, server, notify)
        .map_err(serve::ServeError::from)
        .and_then(|serving| serving.until_the_end(&cgroup));
    if let Err(error) = &served {
        log(format_args!("{}", with_causes(error)));
    }
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One line on stderr. Nobody may be reading it any more, which `eprintln!` answers with a panic.
fn log(line: fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "primcs-supervisor: {line}"));
}

/// Says why and what to do, once: to a server that is there to pass it on, else to the log. A service
/// says it in its own log in any case.
fn refuse(server: OwnedFd, unable: Unable) -> ExitCode {
    let next = match (&unable.next, unable.check.as_str()) {
        (Some(next), _) => next,
        (None, "cgroup.limits") => "a unit needs Delegate=yes and no ProtectControlGroups=",
        (None, _) => "`primcs doctor` says what mends it",
    };
    let said = format!("{} ({}); next: {next}", unable.problem, unable.check);
    let is_service = door::listens(&server).unwrap_or(false);
    let server = if is_service { door::accept(&server).ok().flatten() } else { Some(server) };
    let told = server.is_some_and(|server| tell(&server, unable));
    if is_service || !told {
        log(format_args!("{said}"));
    }
    ExitCode::FAILURE
}

fn tell(server: &OwnedFd, unable: Unable) -> bool {
    // Closing with its hello unread would reset the connection before it reads our answer.
    match wire::receive::<ToSupervisor>(server) {
        Ok(Some(_hello)) => wire::send(server, &ToServer::Unable(Box::new(unable)), &[]).is_ok(),
        // It left before it said anything, most often for this very reason, and then it said so.
        Ok(None) => true,
        Err(_) => false,
    }
}
