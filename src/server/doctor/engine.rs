//! What to say to the engine of a container, in the words of the engine that was found. Nothing here
//! gives a container more than it needs: never `--privileged`, never the cgroups of the host.
#![forbid(unsafe_code)]

use super::facts::Facts;

/// What a container can lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// Namespaces and mounts, refused by the filter of system calls.
    Calls,
    /// Mounts, refused by a profile of `AppArmor`.
    Mounts,
    /// A `/proc` of which nothing is covered.
    WholeProc,
    /// A cgroup of its own that it may write to.
    Cgroup,
    /// The right of root to make namespaces.
    Administration,
    /// More open files.
    OpenFiles,
    /// A limit of core dumps other than 0.
    CoreDumps,
    /// Ids for a root of its own.
    Ids,
}

/// How the container must be started instead; none outside of one.
pub(super) fn option(lack: Lack, facts: &Facts) -> Option<String> {
    let container = facts.container.as_deref()?;
    let option = match container {
        "Kubernetes" => in_kubernetes(lack),
        "Podman" => in_podman(lack),
        _ => in_docker(lack),
    };
    let other = if matches!(container, "Docker" | "Podman" | "Kubernetes") {
        ""
    } else {
        " (Docker's words for it)"
    };
    Some(format!("{option}{other}"))
}

const fn in_docker(lack: Lack) -> &'static str {
    match lack {
        Lack::Calls => SECCOMP,
        Lack::Mounts => "start the container with --security-opt apparmor=unconfined",
        Lack::WholeProc => "start the container with --security-opt systempaths=unconfined",
        Lack::Cgroup => {
            "start the container with --cgroupns private --security-opt writable-cgroups=true (Docker 28 or newer, cgroup v2) and own-cgroup as its entrypoint (docs/containers.md)"
        }
        Lack::Administration => ADMINISTRATION,
        Lack::OpenFiles => "start the container with --ulimit nofile=8192:8192",
        Lack::CoreDumps => "start the container with --ulimit core=1:1",
        Lack::Ids => NOT_ROOT,
    }
}

const fn in_podman(lack: Lack) -> &'static str {
    match lack {
        Lack::WholeProc => "start the container with --security-opt 'unmask=/proc/*'",
        Lack::Cgroup => {
            "start the container with --security-opt unmask=/sys/fs/cgroup --user 0 --cap-add CHOWN,SETUID,SETGID,SETPCAP --entrypoint /usr/libexec/primcs/own-cgroup (cgroup v2; docs/containers.md)"
        }
        Lack::Calls
        | Lack::Mounts
        | Lack::Administration
        | Lack::OpenFiles
        | Lack::CoreDumps
        | Lack::Ids => in_docker(lack),
    }
}

const fn in_kubernetes(lack: Lack) -> &'static str {
    match lack {
        Lack::Calls => {
            "set securityContext.seccompProfile to {type: Localhost, localhostProfile: primcs.json}, the file being packaging/container/seccomp.json of PRIMCS (of the package: /usr/share/primcs/container/seccomp.json), below the kubelet's seccomp folder on each node"
        }
        Lack::Mounts => "set securityContext.appArmorProfile to {type: Unconfined}",
        Lack::WholeProc => {
            "set hostUsers: false for the pod and securityContext.procMount: Unmasked"
        }
        Lack::Cgroup => {
            "let the runtime of the node give the pod a writable cgroup (containerd 2.1: cgroup_writable of a runtime class)"
        }
        Lack::OpenFiles => "raise the limit of open files of the node's container runtime",
        Lack::CoreDumps => "raise the limit of core dumps of the node's container runtime to 1",
        // Root of a pod with ids of its own has too few of them for runs.
        Lack::Administration | Lack::Ids => "set securityContext.runAsUser to any id but 0",
    }
}

const SECCOMP: &str = "start the container with --security-opt seccomp=FILE, the file being packaging/container/seccomp.json of PRIMCS (of the package: /usr/share/primcs/container/seccomp.json)";
const ADMINISTRATION: &str = "start the container as another user than root (--user 65532), whose PRIMCS needs no right of the host; --cap-add SYS_ADMIN would make a hole in the supervisor a hole in the host";
const NOT_ROOT: &str = "start the container as another user than root: --user 65532";
