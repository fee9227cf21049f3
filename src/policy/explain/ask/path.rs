//! A path that no line of `mounts.toml` names: below one that a line names, covered, or not there.
#![forbid(unsafe_code)]

use super::{Text, deciding};
use crate::policy::Policy;

pub(super) fn about(policy: &Policy, name: &str) -> Text {
    if name.starts_with('/') {
        return absolute(policy, name.trim_end_matches('/'));
    }
    let known = PROC.contains(&name);
    if known { absolute(policy, &format!("/proc/{name}")) } else { Text::default() }
}

fn absolute(policy: &Policy, path: &str) -> Text {
    let mounts = &policy.mounts;
    let is_below = |above: &str| {
        path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if is_below("/proc") {
        let process = path.split('/').nth(2).filter(|part| part.parse::<u32>().is_ok());
        let shown = |path: &str| format!("mounts proc.show {path}");
        if process.is_some() {
            let ids = ["mounts proc.show /proc/self", "process namespace pid"];
            return answer(
                path,
                "is one of the run's own processes: there are no others in it",
                policy,
                &ids,
            );
        }
        let shows =
            || mounts.proc.show.iter().map(|entry| format!("/proc/{}", entry.path.as_str()));
        if let Some(above) = shows().find(|above| is_below(above)) {
            let says = format!(
                "is below `{above}`, which is shown; what the run may do there is decided by"
            );
            return answer(
                path,
                &says,
                policy,
                &[&shown(&above), "mounts proc ro", "process landlock /proc"],
            );
        }
        return answer(
            path,
            "is covered: everything in `/proc` that is not listed is",
            policy,
            &["mounts proc"],
        );
    }
    if let Some(own) = mounts.run.directory.iter().find(|own| is_below(own.target.as_str())) {
        let above = own.target.as_str();
        let id = format!("mounts run.directory {above}");
        return answer(path, &format!("is below `{above}`, the run's own"), policy, &[&id]);
    }
    if let Some(tree) = mounts.base.tree.iter().find(|tree| is_below(tree.path.as_str())) {
        let above = tree.path.as_str();
        let id = format!("mounts base.tree {above}");
        return answer(
            path,
            &format!("is below `{above}`, which is copied"),
            policy,
            &[&id, "mounts root.base"],
        );
    }
    if COPY.into_iter().any(is_below) {
        let says = "is there only when the private copy holds it: a listed tool, a library that one needs, or the interpreter. It is never the host's own file, and read-only";
        return answer(
            path,
            says,
            policy,
            &["mounts root.base", "mounts base.tool_path", "mounts base.python"],
        );
    }
    let says = "is not there: the root is built from nothing, and no line lists it";
    answer(
        path,
        says,
        policy,
        &["mounts root", "mounts root.tmpfs", "process namespace mount", "process landlock"],
    )
}

fn answer(path: &str, says: &str, policy: &Policy, ids: &[&str]) -> Text {
    let mut text = Text::default();
    text.heading(1, path);
    text.paragraph(&format!("`{path}` {says}."));
    text.append(deciding(policy, ids));
    text
}

/// Where the private copy lies, besides `/etc`, whose files are all listed.
const COPY: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// Entries of `/proc` that reviewers ask for by their name alone.
const PROC: [&str; 20] = [
    "kcore",
    "kallsyms",
    "kmsg",
    "keys",
    "key-users",
    "modules",
    "sysrq-trigger",
    "cmdline",
    "iomem",
    "ioports",
    "interrupts",
    "slabinfo",
    "timer_list",
    "vmstat",
    "config.gz",
    "kpagecount",
    "kpageflags",
    "pagetypeinfo",
    "partitions",
    "diskstats",
];
