//! The second wall around files. It comes after all mounts: a landlocked process cannot mount, and
//! a grant on a directory that is covered later does not count.
#![forbid(unsafe_code)]

use std::os::fd::AsFd;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::plan::LandlockPlan;
use super::report::{InStep, StepFailure};
use super::weaken;
use crate::sys::landlock::Ruleset;

/// Enforces the plan; where the kernel has no Landlock there is none, and everybody is told so.
pub fn enforce(plan: Option<&LandlockPlan>) -> Result<(), StepFailure> {
    let Some(plan) = plan else { return Ok(()) };
    if !weaken::stands("landlock") {
        return Ok(());
    }
    let ruleset = Ruleset::new(plan.handled).in_step("landlock_create_ruleset")?;
    for (path, rights) in &plan.directories {
        let beneath = open(path.as_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
            .in_step(&format!("open {path} for landlock"))?;
        ruleset.grant(beneath.as_fd(), *rights).in_step(&format!("landlock_add_rule {path}"))?;
    }
    ruleset.enforce().in_step("landlock_restrict_self")
}
