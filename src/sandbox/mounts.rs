//! The mounts that each run adds to what it inherits locked from the template: its own `/proc`
//! with covers, and its own writable directories. Made by the init, before it gives up its
//! capabilities. Names of mount points are ours.
#![forbid(unsafe_code)]

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::plan::SandboxPlan;
use super::report::{InStep, StepFailure};
use super::weaken;
use crate::sys::mount::{NO_DEVICES, NO_EXEC, NO_SETUID, READ_ONLY, add_attributes, attach};

/// Where the run's tmpfs is attached while its directories are handed out.
pub const STAGING: &str = "/mnt";
/// An empty directory of the template, laid over directories that a run must not see.
pub const EMPTY: &str = "/var/empty";

/// Makes all mounts of one run and enters its working directory.
pub fn mount_run(plan: &SandboxPlan, workspace: OwnedFd) -> Result<(), StepFailure> {
    mount_proc(plan)?;
    attach(workspace.as_fd(), c"/mnt").in_step("move_mount tmpfs")?;
    drop(workspace);
    for writable in &plan.writable {
        let from = Path::new(STAGING).join(&writable.directory);
        bind(&from, Path::new(&writable.target)).in_step(&format!("mount {}", writable.target))?;
    }
    umount2(STAGING, MntFlags::MNT_DETACH).in_step("umount staging")?;
    let directory = plan.directory.as_str();
    nix::unistd::chdir(directory).in_step(&format!("chdir {directory}"))
}

fn mount_proc(plan: &SandboxPlan) -> Result<(), StepFailure> {
    mount(
        Some("proc"),
        "/proc",
        Some("proc"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        None::<&str>,
    )
    .in_step("mount /proc")?;
    if weaken::stands("sockets") && weaken::stands("network") {
        bound_tcp_buffers(plan.tcp_rmem)?;
    }
    if weaken::stands("proc_masks") {
        cover_proc(plan)?;
    }
    if weaken::stands("proc_read_only") {
        add_attributes(Path::new("/proc"), READ_ONLY | NO_SETUID | NO_DEVICES | NO_EXEC, true)
            .in_step("make /proc read-only")?;
    }
    Ok(())
}

/// What waits in a connection that was not accepted is charged to nobody, so it is kept small, in
/// this run's network namespace alone.
fn bound_tcp_buffers(most: u64) -> Result<(), StepFailure> {
    let file = "/proc/sys/net/ipv4/tcp_rmem";
    let values = format!("4096 {usual} {most}", usual = most.min(32_768));
    fs::write(file, &values).in_step("set tcp_rmem")?;
    let found = fs::read_to_string(file).in_step("read tcp_rmem back")?;
    if found.split_whitespace().eq(values.split(' ')) {
        return Ok(());
    }
    Err(StepFailure { step: "tcp_rmem was not set".to_owned(), errno: libc::EPERM })
}

/// Covers every top-level entry that is neither a process nor on the list, so that what a newer
/// kernel adds is hidden too.
fn cover_proc(plan: &SandboxPlan) -> Result<(), StepFailure> {
    copy_sys_leaves(plan)?;
    for entry in fs::read_dir("/proc").in_step("list /proc")? {
        let entry = entry.in_step("list /proc")?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_process = name.bytes().all(|byte| byte.is_ascii_digit());
        if is_process || name == "sys" || plan.proc_visible.iter().any(|visible| *visible == name) {
            continue;
        }
        let kind = entry.file_type().in_step("list /proc")?;
        let cover = if kind.is_dir() { EMPTY } else { "/dev/null" };
        if kind.is_symlink() {
            continue; // `net` and `mounts` lead into the reader's own process directory.
        }
        bind(Path::new(cover), &entry.path()).in_step(&format!("cover /proc/{name}"))?;
    }
    Ok(())
}

/// Lays a tmpfs with copies of the few wanted leaves over `/proc/sys`.
fn copy_sys_leaves(plan: &SandboxPlan) -> Result<(), StepFailure> {
    let sys = Path::new("/proc/sys");
    let mut leaves = Vec::new();
    for leaf in &plan.proc_sys_leaves {
        match fs::read(sys.join(leaf)) {
            Ok(content) => leaves.push((leaf, content)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).in_step(&format!("read /proc/sys/{leaf}")),
        }
    }
    mount(
        Some("tmpfs"),
        sys,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        Some("size=64k,nr_inodes=64,mode=755"),
    )
    .in_step("cover /proc/sys")?;
    for (leaf, content) in leaves {
        let target = sys.join(leaf);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).in_step("copy /proc/sys")?;
        }
        fs::write(&target, content).in_step(&format!("copy /proc/sys/{leaf}"))?;
    }
    Ok(())
}

fn bind(from: &Path, target: &Path) -> nix::Result<()> {
    mount(Some(from), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
}
