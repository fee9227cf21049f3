//! Signal dispositions of a program about to be started, and leaving a forked child at once.
#![expect(unsafe_code, reason = "sigaction and _exit")]

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Gives every signal its default action and unblocks all.
pub fn restore_defaults() -> nix::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in Signal::iterator() {
        if !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            // SAFETY: the default action runs no code of ours.
            unsafe { sigaction(signal, &default) }?;
        }
    }
    SigSet::empty().thread_set_mask()
}

/// Ends this process without destructors or exit handlers: it is a copy, and they are not its own.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(status) }
}
