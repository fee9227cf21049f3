//! The root that every run inherits, made once by the spawner in a mount namespace of its own.
//! Copied into a run's namespaces its mounts are locked: not even full capabilities in there can
//! remount, uncover or unmount them. What never changes therefore belongs here.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno::{ECHILD, EPERM};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::{chdir, pivot_root};
use serde::{Deserialize, Serialize};

use super::mounts::{EMPTY, STAGING};
use super::report::{InStep, StepFailure};
use super::weaken;
use crate::sys::clone::{Side, fork_process};
use crate::sys::mount::{NO_EXEC, NO_SETUID, READ_ONLY, add_attributes};
use crate::sys::signals::exit_now;
use crate::sys::wait;

/// Where the whole copy is mounted while its directories are bound.
const SHOWN: &str = "/base";
/// Where a tree of nothing but mount points lies meanwhile: an interpreter of `/home` must not hide
/// the one of a run's own home.
const SHAPE: &str = "/shape";

/// What the template is made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TemplatePlan {
    /// An empty directory of the host on which it is built; nothing is ever seen there.
    pub build_at: PathBuf,
    /// The private copy.
    pub base: PathBuf,
    /// Mount attributes of the root itself.
    pub root_attributes: u64,
    /// Directories of the private copy, bound read-only, and their mount attributes.
    pub binds: Vec<(String, u64)>,
    /// Symbolic links: path, target.
    pub links: Vec<(String, String)>,
    /// Device nodes below `/dev`.
    pub devices: Vec<String>,
    /// Empty directories on which a run mounts its own.
    pub mount_points: Vec<String>,
    /// Read-only files of ours: path, text.
    pub files: Vec<(String, String)>,
}

/// Builds the root and enters it. The host's mounts are gone for this process afterwards.
pub fn build_and_enter(plan: &TemplatePlan) -> Result<(), StepFailure> {
    unshare(CloneFlags::CLONE_NEWNS).in_step("unshare mount namespace")?;
    let root = plan.build_at.as_path();
    let options = Some("size=1m,nr_inodes=512,mode=755");
    mount(Some("tmpfs"), root, Some("tmpfs"), MsFlags::MS_NOSUID, options)
        .in_step("mount template root")?;
    for directory in ["/dev", "/proc", STAGING, EMPTY] {
        make_directory(root, directory)?;
    }
    for target in &plan.mount_points {
        make_directory(root, target)?;
    }
    show_base(plan)?;
    for (path, target) in &plan.links {
        let at = inside(root, path);
        symlink(target, at).in_step(&format!("link {path}"))?;
    }
    for (path, text) in &plan.files {
        let at = inside(root, path);
        if let Some(parent) = at.parent() {
            fs::create_dir_all(parent).in_step(&format!("make {path}"))?;
        }
        fs::write(&at, text).in_step(&format!("make {path}"))?;
    }
    for name in &plan.devices {
        show_device(root, name)?;
    }
    mount_dead_proc(&inside(root, "/proc"))?;
    if weaken::stands("root_read_only") {
        add_attributes(root, plan.root_attributes, false).in_step("make template read-only")?;
    }
    enter(root)
}

/// Shows the directories of the private copy through an overlay of names that say nothing: a run
/// can read where its mounts come from, and a plain bind would tell it the host's path.
fn show_base(plan: &TemplatePlan) -> Result<(), StepFailure> {
    let root = plan.build_at.as_path();
    let [staging, shown, shape] = [STAGING, SHOWN, SHAPE].map(|path| inside(root, path));
    bind(&plan.base, &staging).in_step("bind private copy")?;
    make_directory(root, SHOWN)?;
    make_directory(root, SHAPE)?;
    mount(Some("tmpfs"), &shape, Some("tmpfs"), MsFlags::MS_NOSUID, Some("size=1m,mode=755"))
        .in_step("mount tree of mount points")?;
    for target in &plan.mount_points {
        make_directory(&shape, target)?;
    }
    chdir(root).in_step("chdir template")?;
    // An overlay without an upper layer wants two lower ones.
    let layers = format!("lowerdir={}:{}", relative(STAGING), relative(SHAPE));
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("base"), &shown, Some("overlay"), flags, Some(layers.as_str()))
        .in_step("mount overlay of private copy")?;
    for (path, attributes) in &plan.binds {
        bind_base(plan, path, *attributes)?;
    }
    for temporary in [&shown, &staging, &shape] {
        umount2(temporary, MntFlags::MNT_DETACH).in_step("detach private copy")?;
    }
    for made in [&shown, &shape] {
        fs::remove_dir(made).in_step("remove mount point")?;
    }
    Ok(())
}

/// Binds one directory of the private copy.
fn bind_base(plan: &TemplatePlan, path: &str, attributes: u64) -> Result<(), StepFailure> {
    make_directory(&plan.build_at, path)?;
    let target = inside(&plan.build_at, path);
    let from = if weaken::stands("private_copy") {
        inside(&inside(&plan.build_at, SHOWN), path)
    } else {
        PathBuf::from(path)
    };
    bind(&from, &target).in_step(&format!("bind {path}"))?;
    let attributes =
        if weaken::stands("root_read_only") { attributes } else { attributes & !READ_ONLY };
    add_attributes(&target, attributes, false).in_step(&format!("mount attributes of {path}"))
}

/// Makes a device node like the host's. The host's own would be the only inode of it that a run can
/// open: locks on one are walked by every close of it on the host, and its times could be set. Where
/// the kernel refuses to make one, as to every plain user, it is the host's after all.
fn show_device(root: &Path, name: &str) -> Result<(), StepFailure> {
    let step = format!("bind /dev/{name}");
    let (hosts, own) = (Path::new("/dev").join(name), inside(root, "/dev").join(name));
    let device = fs::metadata(&hosts).in_step(&step)?.rdev();
    let stands = weaken::stands("own_devices");
    let made = if stands { mknod(&own, SFlag::S_IFCHR, Mode::empty(), device) } else { Err(EPERM) };
    let from = if made == Err(EPERM) {
        File::create(&own).in_step(&step)?;
        &hosts
    } else {
        made.in_step(&step)?;
        // Not by `mknod`: our umask is the starter's.
        fs::set_permissions(&own, fs::Permissions::from_mode(0o666)).in_step(&step)?;
        &own
    };
    // A mount of its own, since that of the root is about to get `nodev`. Devices on a read-only
    // mount can be written to; their times cannot be set.
    bind(from, &own).in_step(&step)?;
    let read_only = if stands { READ_ONLY } else { 0 };
    add_attributes(&own, read_only | NO_SETUID | NO_EXEC, false).in_step(&step)
}

/// A run may mount its own `/proc` only where an uncovered one is visible already. This one belongs
/// to a pid namespace that is dead, so it shows no process. Read-only it
/// would not serve: a run could then mount only read-only ones, and not lay its covers.
fn mount_dead_proc(target: &Path) -> Result<(), StepFailure> {
    let Side::Parent(_) = fork_process().in_step("fork")? else {
        exit_with(in_new_pid_namespace(|| {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            Ok(mount(Some("proc"), target, Some("proc"), flags, None::<&str>)?)
        }));
    };
    wait_for_success().in_step("mount template /proc")
}

fn in_new_pid_namespace(act: impl Fn() -> io::Result<()>) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWPID)?;
    match fork_process()? {
        Side::Child => exit_with(act()),
        Side::Parent(_) => wait_for_success(),
    }
}

/// Its errno is what a child of ours has to say.
fn exit_with(done: io::Result<()>) -> ! {
    exit_now(done.err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO)))
}

fn wait_for_success() -> io::Result<()> {
    let exit = wait::any_child(true)?.ok_or(ECHILD)?;
    match exit.exit_code.unwrap_or(libc::EIO) {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Makes the template the root and lets go of the host's.
fn enter(root: &Path) -> Result<(), StepFailure> {
    chdir(root).in_step("chdir template")?;
    pivot_root(".", ".").in_step("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).in_step("detach old root")?;
    chdir("/").in_step("chdir /")
}

fn make_directory(root: &Path, path: &str) -> Result<(), StepFailure> {
    let at = inside(root, path);
    fs::create_dir_all(&at).in_step(&format!("make {path}"))?;
    fs::set_permissions(&at, fs::Permissions::from_mode(0o755)).in_step(&format!("make {path}"))
}

fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(relative(path))
}

fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn bind(from: &Path, target: &Path) -> nix::Result<()> {
    mount(Some(from), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
}
