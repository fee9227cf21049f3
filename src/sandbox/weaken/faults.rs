//! Lets a test have a process die or hang just after a named step, to see what the others then do.
//! All of it is compiled out without the feature `weaken`, which no release build has.
//!
//! `crash:init/setsid#3` in `PRIMCS_WEAKEN`: the init of the third run that its spawner makes dies
//! after `setsid`; `hang:` does not go on instead. A `*` ends a name of which the rest is the
//! host's; run 0 is the time before the first, which is always the probe of the start.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Which process this is, and how many runs it has begun. A copy of a process copies both.
static HERE: Mutex<(&str, u32)> = Mutex::new(("supervisor", 0));

/// From here on this process is another one than it was copied from.
pub fn is_now(who: &'static str) {
    HERE.lock().unwrap_or_else(PoisonError::into_inner).0 = who;
}

/// One more run begins.
pub fn run_begins() {
    HERE.lock().unwrap_or_else(PoisonError::into_inner).1 += 1;
}

/// The step of this name has been done.
pub fn done(step: &str) {
    let here = *HERE.lock().unwrap_or_else(PoisonError::into_inner);
    for fault in super::asked_for::REMOVED.get().into_iter().flatten() {
        match fault.split_once(':') {
            Some(("crash", at)) if is_here(at, here, step) => die(),
            Some(("hang", at)) if is_here(at, here, step) => std::thread::sleep(Duration::MAX),
            _ => {}
        }
    }
}

fn is_here(at: &str, (who, runs): (&str, u32), step: &str) -> bool {
    let Some((at, number)) = at.rsplit_once('#') else { return false };
    let name = at.strip_prefix(who).and_then(|rest| rest.strip_prefix('/'));
    number.parse() == Ok(runs)
        && name.is_some_and(|name| {
            name.strip_suffix('*').map_or(name == step, |begin| step.starts_with(begin))
        })
}

fn die() -> ! {
    // The pid 1 of a namespace cannot kill itself; leaving without a word looks the same from outside.
    let _ = kill(Pid::this(), Signal::SIGKILL);
    crate::sys::signals::exit_now(137)
}
