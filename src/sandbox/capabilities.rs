//! No capability in any set, and no way to get one back.
#![forbid(unsafe_code)]

use std::io;

use caps::{CapSet, CapsHashSet};

use super::report::{InStep, StepFailure};
use super::weaken;
use crate::sys::securebits;

/// Empties all five sets, locks the securebits and sets `no_new_privs`.
pub fn drop_all() -> Result<(), StepFailure> {
    if weaken::stands("capabilities") {
        securebits::set(securebits::ALL_LOCKED).in_step("prctl PR_SET_SECUREBITS")?;
        empty_bounding_set()?;
        empty_sets()?;
    } else {
        keep_over_exec()?;
    }
    if weaken::stands("no_new_privs") {
        nix::sys::prctl::set_no_new_privs().in_step("prctl PR_SET_NO_NEW_PRIVS")?;
    }
    Ok(())
}

/// Empties the bounding set, which needs a capability that later steps give up.
pub fn empty_bounding_set() -> Result<(), StepFailure> {
    for capability in caps::runtime::thread_all_supported() {
        caps::drop(None, CapSet::Bounding, capability)
            .map_err(refused)
            .in_step("drop bounding set")?;
    }
    Ok(())
}

/// Empties the ambient, effective, permitted and inheritable sets, and reads all five back.
pub fn empty_sets() -> Result<(), StepFailure> {
    caps::clear(None, CapSet::Ambient).map_err(refused).in_step("clear ambient set")?;
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::set(None, set, &CapsHashSet::new()).map_err(refused).in_step("capset")?;
    }
    for set in [
        CapSet::Bounding,
        CapSet::Ambient,
        CapSet::Effective,
        CapSet::Permitted,
        CapSet::Inheritable,
    ] {
        let left = caps::read(None, set).map_err(refused).in_step("read capabilities back")?;
        if !left.is_empty() {
            return Err(StepFailure {
                step: format!("{set:?} set is not empty"),
                errno: libc::EPERM,
            });
        }
    }
    Ok(())
}

/// Tests only: what a run would have if nothing dropped its capabilities. An ordinary user loses
/// them at exec unless they are ambient.
#[cfg(feature = "weaken")]
fn keep_over_exec() -> Result<(), StepFailure> {
    let held = caps::read(None, CapSet::Permitted).map_err(refused).in_step("read capabilities")?;
    for set in [CapSet::Inheritable, CapSet::Ambient] {
        caps::set(None, set, &held).map_err(refused).in_step("keep capabilities")?;
    }
    Ok(())
}

#[cfg(not(feature = "weaken"))]
fn keep_over_exec() -> Result<(), StepFailure> {
    Err(StepFailure { step: "drop capabilities".to_owned(), errno: libc::EPERM })
}

/// The crate's errors are text; every cause here is a refusal by the kernel.
fn refused(_error: caps::errors::CapsError) -> io::Error {
    io::Error::last_os_error()
}
