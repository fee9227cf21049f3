//! How a probe differs from other runs: limits so small that each is reached at little cost, and a
//! program that runs into them. All else is the policy's.
#![forbid(unsafe_code)]

use serde_json::json;

use crate::policy::Policy;
use crate::sandbox::cgroup::LeafLimits;
use crate::sandbox::plan::SandboxPlan;
use crate::sandbox::rlimits;
use crate::sandbox::workspace::WorkspacePlan;

/// What makes a run a probe.
#[derive(Debug)]
pub struct ProbePlan {
    /// Its program.
    pub code: String,
    /// Its cgroups.
    pub leaf: LeafLimits,
    /// Its tmpfs.
    pub workspace: WorkspacePlan,
}

/// The run of this policy with small limits, and the program that runs into them.
#[must_use]
pub(super) fn probe_plan(
    policy: &Policy,
    plan: &SandboxPlan,
    usual: &LeafLimits,
    usual_workspace: &WorkspacePlan,
    rootless: bool,
) -> ProbePlan {
    // v1 takes room for socket buffers off, by open files, and an interpreter needs 20 MiB.
    let leaf = LeafLimits {
        memory: usual.memory.min(56 << 20),
        pids: usual.pids.min(4),
        cpu_quota: 3_000,
        cpu_period: 4_000,
        open_files: 64,
    };
    let workspace = WorkspacePlan {
        size: usual_workspace.size.min(1 << 20),
        inodes: usual_workspace.inodes.min(64),
        ..usual_workspace.clone()
    };
    let rlimits: serde_json::Map<_, _> = plan
        .rlimits
        .iter()
        .map(|limit| {
            let name = format!("RLIMIT_{}", limit.name.to_uppercase());
            (name, rlimits::reachable(limit).into())
        })
        .collect();
    let environment: Vec<_> = plan.environment.iter().map(|(name, _)| name).collect();
    // A plain user's groups stay; inside they are nobody's, and the first one, which logins and
    // container engines list once more, is the run's own.
    let groups = if rootless { vec![65_534, plan.gid] } else { Vec::new() };
    // JSON of numbers, texts, lists and maps is Python, too.
    let want = json!({
        "uid": plan.uid, "gid": plan.gid, "groups": groups, "hostname": plan.hostname,
        "environment": environment, "rlimits": rlimits,
        "oom_score_adj": policy.process.identity.oom_score_adj.value,
        "landlock": u8::from(plan.landlock.is_some()),
        "disk": workspace.size, "inodes": workspace.inodes,
        "memory": leaf.memory, "pids": leaf.pids,
    });
    let code = format!("WANT = {want}\n{}", include_str!("../../python/probe.py"));
    ProbePlan { code, leaf, workspace }
}
