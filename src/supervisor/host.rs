//! What was set up once at start and what every run then uses: cgroups, spawner, plans.
#![forbid(unsafe_code)]

use std::time::Duration;

use nix::unistd::Pid;

use super::identities::SPAWNER;
use super::nursery::{Nursery, Setup};
use super::startup::ProbePlan;
use crate::policy::Policy;
use crate::sandbox::cgroup::{CgroupError, Cgroups, Layout, Leaf, LeafLimits};
use crate::sandbox::plan::SandboxPlan;
use crate::sandbox::report::StepFailure;
use crate::sandbox::workspace::WorkspacePlan;
use crate::wire::LimitsInForce;

/// How often in a row a spawner may die while it starts.
const MOST_TRIES: u32 = 5;

/// Everything that outlives a single run.
#[derive(Debug)]
pub struct Host {
    policy: Policy,
    cgroups: Option<Cgroups>,
    leaf_limits: LeafLimits,
    workspace: WorkspacePlan,
    probe: ProbePlan,
    setup: Setup,
    nursery: Nursery,
    /// The owner that may clone into our cgroups, as root.
    spawner: Option<u32>,
}

impl Host {
    /// Starts the spawner. `cgroups` is absent only with `--allow-soft-limits`.
    pub fn start(
        policy: Policy,
        cgroups: Option<Cgroups>,
        leaf_limits: LeafLimits,
        workspace: WorkspacePlan,
        probe: ProbePlan,
        setup: Setup,
    ) -> Result<Self, StepFailure> {
        let spawner = setup.become_id.map(|_| SPAWNER);
        let nursery = start_nursery(&setup, cgroups.as_ref(), spawner)?;
        Ok(Self { policy, cgroups, leaf_limits, workspace, probe, setup, nursery, spawner })
    }

    /// The spawner died. Runs are children of the supervisor and go on; the next one needs another,
    /// and what killed one may kill the next before it is up.
    pub fn restart_nursery(&mut self) -> Result<(), StepFailure> {
        let mut tries = 1..MOST_TRIES;
        loop {
            let started = start_nursery(&self.setup, self.cgroups.as_ref(), self.spawner);
            match started.map(|nursery| self.nursery = nursery) {
                // One that hangs has cost all runs their clocks for long enough.
                Err(failure) if failure.errno != libc::EAGAIN && tries.next().is_some() => {}
                last => return last,
            }
        }
    }

    /// The spawner.
    #[must_use]
    pub const fn nursery(&self) -> &Nursery {
        &self.nursery
    }

    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The confinement of every run.
    #[must_use]
    pub const fn plan(&self) -> &SandboxPlan {
        &self.setup.sandbox
    }

    /// The tmpfs of every run, or that of a probe.
    #[must_use]
    pub const fn workspace(&self, for_probe: bool) -> &WorkspacePlan {
        if for_probe { &self.probe.workspace } else { &self.workspace }
    }

    /// How a probe differs from other runs.
    #[must_use]
    pub const fn probe(&self) -> &ProbePlan {
        &self.probe
    }

    /// Where limits come from.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.cgroups.as_ref().map_or(Layout::None, Cgroups::layout)
    }

    /// Makes the cgroups of one run, or of a probe.
    pub fn create_leaf(&self, run: &str, for_probe: bool) -> Result<Option<Leaf>, CgroupError> {
        let limits = if for_probe { &self.probe.leaf } else { &self.leaf_limits };
        self.cgroups
            .as_ref()
            .map(|cgroups| cgroups.create_leaf(run, limits, self.spawner))
            .transpose()
    }

    /// Removes the cgroups of a run; false while a process is still in one.
    #[must_use]
    pub fn try_discard(&self, leaf: &Leaf) -> bool {
        self.cgroups.as_ref().is_none_or(|cgroups| cgroups.remove_leaf(leaf).is_ok())
    }

    /// Removes the cgroups of a run that never came to be.
    pub fn discard(&self, leaf: &Leaf) {
        // What an init that just starts still holds goes with the parent, at the latest.
        let _ = leaf.kill();
        let _ = self.try_discard(leaf);
    }

    /// Removes the parent of all runs' cgroups.
    pub fn clear_cgroups(&self, name: &str) -> Result<(), CgroupError> {
        self.cgroups.as_ref().map_or(Ok(()), |cgroups| cgroups.clear(name))
    }

    /// What holds for a run, as the kernel has it. Without a cgroup it has no limit of three kinds,
    /// and none is claimed.
    #[must_use]
    pub fn limits_in_force(&self, leaf: Option<&Leaf>, wall: Duration) -> LimitsInForce {
        let limits = &self.policy.limits.run;
        LimitsInForce {
            hard: leaf.is_some(),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            memory_bytes: leaf.map(Leaf::memory),
            pids: leaf.map(|_| limits.cgroup.pids_max.value),
            cpu_millicores: leaf.map(|_| limits.cgroup.cpu_max.value.millicores()),
            disk_bytes: limits.tmpfs.size.value.0,
            disk_inodes: limits.tmpfs.nr_inodes.value,
            open_files: self.leaf_limits.open_files,
        }
    }
}

fn start_nursery(
    setup: &Setup,
    cgroups: Option<&Cgroups>,
    spawner: Option<u32>,
) -> Result<Nursery, StepFailure> {
    Nursery::start(setup, |pid: Pid| {
        let Some(cgroups) = cgroups else { return Ok(()) };
        cgroups.place_spawner(pid, spawner).map_err(|error| StepFailure {
            step: format!("place nursery: {error}"),
            errno: libc::EIO,
        })
    })
}
