//! What a run sees of the world around it. These have no weakened half, because what makes them
//! true (a namespace, an empty root) cannot be taken away without there being no run at all; each
//! compares with what the host has.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::support::aloud::not_tried;
use crate::support::mcp;
use crate::support::processes::{Process, descendants};
use crate::support::server;

fn lines(code: &str) -> Vec<String> {
    let answer = mcp::run(server::shared().address, code).expect("ok");
    answer.stdout().lines().map(str::to_owned).collect()
}

/// proves: process namespace user; process identity uid; process identity gid
#[test]
fn a_run_has_one_ordinary_id_and_no_groups() {
    let map = lines(
        "import os\nprint(open('/proc/self/uid_map').read().split())\nprint(open('/proc/self/gid_map').read().split())\nprint(os.getresuid(), os.getresgid(), os.getgroups())",
    );
    for map in &map[..2] {
        let fields: Vec<_> = map.trim_matches(['[', ']']).split(", ").collect();
        assert_eq!(fields.len(), 3, "one line of three: {map}");
        assert_eq!((fields[0], fields[2]), ("'1000'", "'1'"), "{map}");
    }
    let groups = map[2].strip_prefix("(1000, 1000, 1000) (1000, 1000, 1000) ");
    // A plain user's own group may be listed once more, and cannot be dropped.
    let listed_again = !nix::unistd::geteuid().is_root() && groups == Some("[1000]");
    assert!(groups == Some("[]") || listed_again, "{}", map[2]);
}

/// The map in a run names an id of the supervisor's user namespace, which is the host's own only
/// where the supervisor is root; this asks the host.
/// proves: process namespace user; always ids
#[test]
fn a_run_is_not_root_of_the_host() {
    let supervisor = server::shared().supervisor();
    let before = descendants(supervisor.pid);
    let code = "print('there', flush=True)\nimport time\ntime.sleep(1)";
    let call = mcp::Call::new(code).with_progress();
    let mut stream = call.stream(server::shared().address, mcp::Era::Modern);
    stream.wait_for("there");
    let now = descendants(supervisor.pid);
    let ids: BTreeSet<_> = now.difference(&before).filter_map(Process::uid).collect();
    stream.answer().expect("ok");
    assert!(!ids.is_empty() && !ids.contains(&0), "{ids:?}");
    let own = nix::unistd::geteuid();
    if own.is_root() {
        assert!(ids.iter().all(|id| *id > 2_000_000_000), "somebody else's: {ids:?}");
    } else {
        not_tried("a run has an id of its own (barrier user_ids): a plain user has only one id");
        assert_eq!(ids, BTreeSet::from([own.as_raw()]));
    }
}

/// proves: process namespace cgroup
#[test]
fn a_run_is_at_the_root_of_its_control_groups() {
    for line in lines("print(open('/proc/self/cgroup').read(), end='')") {
        assert!(line.ends_with(":/"), "a path of the host: {line}");
    }
}

/// proves: process namespace uts; process identity hostname
#[test]
fn a_run_does_not_learn_the_name_of_its_host() {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
    let seen =
        lines("import socket, platform\nprint(socket.gethostname())\nprint(platform.node())");
    assert!(seen.iter().all(|name| name == "sandbox"), "{seen:?}");
    assert_ne!(host.trim(), "sandbox", "this host's own name makes the test blind");
}

/// proves: process namespace pid; neighbours processes
#[test]
fn a_run_sees_only_its_own_processes() {
    let seen = lines(
        "import os\nprint(os.getpid(), os.getppid(), sorted(int(p) for p in os.listdir('/proc') if p.isdigit()))",
    );
    assert_eq!(seen, ["2 1 [1, 2]"]);
}

/// proves: mounts root; process namespace mount
#[test]
fn a_run_sees_a_root_built_from_nothing() {
    let code = "
        import os
        for name in sorted(os.listdir('/')):
            if name not in ('usr', 'etc', 'proc', 'dev', 'workspace', 'venv', 'tmp', 'lib', 'lib64', 'bin', 'sbin'):
                for place, directories, files in os.walk('/' + name):
                    print(*(os.path.join(place, file) for file in files), sep='\\n')
        for name in ('/etc/shadow', '/etc/machine-id', '/etc/fstab', '/sys/kernel', '/root', '/boot', '/run'):
            if os.path.lexists(name):
                print(name)
    ";
    let foreign: Vec<_> = lines(code).into_iter().filter(|line| !line.is_empty()).collect();
    // Our own runner is the one file outside the copy.
    assert!(foreign.iter().all(|path| path.starts_with("/primcs/")), "{foreign:?}");
    assert!(foreign.len() <= 2, "{foreign:?}");
}

/// proves: mounts root.tmpfs nosuid; mounts root.tmpfs nodev; mounts root.base nosuid
/// proves: mounts root.base nodev; mounts run *; mounts proc nosuid; mounts proc nodev
#[test]
fn every_mount_of_a_run_ignores_setuid_and_devices() {
    let code = "for line in open('/proc/self/mountinfo'):\n  f = line.split()\n  print(f[4], f[5])";
    let mounts = lines(code);
    assert!(mounts.len() > 5, "{mounts:?}");
    for mount in mounts {
        let (point, options) = mount.split_once(' ').expect("two words");
        let options: Vec<_> = options.split(',').collect();
        assert!(options.contains(&"nosuid"), "{mount}");
        // The device nodes themselves, and masks that are binds of one.
        let device = point.starts_with("/dev/") && point != "/dev/shm";
        let mask = point.starts_with("/proc/");
        assert!(device || mask || options.contains(&"nodev"), "{mount}");
    }
}

/// Locks on an inode are walked by whoever closes it, so a run that shared one could slow the host.
///
/// proves: mounts root.device *
#[test]
fn no_device_of_a_run_is_an_inode_of_the_host() {
    let names = ["null", "zero", "full", "random", "urandom"];
    let code = format!(
        "import os\nfor name in {names:?}:\n  s = os.stat('/dev/' + name)\n  print(s.st_dev, s.st_ino, s.st_rdev, oct(s.st_mode))"
    );
    let seen = lines(&code);
    assert_eq!(seen.len(), names.len(), "{seen:?}");
    for (name, seen) in names.iter().zip(seen) {
        let host = fs::metadata(format!("/dev/{name}")).expect("a device of the host");
        let inode = format!("{} {} ", host.dev(), host.ino());
        assert!(seen.ends_with(&format!(" {} 0o20666", host.rdev())), "/dev/{name}: {seen}");
        if nix::unistd::geteuid().is_root() {
            assert!(!seen.starts_with(&inode), "/dev/{name} is the host's own: {seen}");
        } else {
            not_tried("a run has device nodes of its own: a plain user can make none");
            assert!(seen.starts_with(&inode), "/dev/{name}: {seen}, the host's: {inode}");
        }
    }
}

#[test]
fn the_mounts_of_a_run_do_not_say_where_the_host_keeps_their_files() {
    let code = "print(open('/proc/self/mountinfo').read())";
    let mounts = lines(code).join("\n");
    let state = crate::support::programs::state_dir(crate::support::programs::Build::Normal);
    let name = state.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(mounts.contains(" /usr "), "{mounts}");
    assert!(!mounts.contains(&name) && !mounts.contains("/base/"), "{mounts}");
}

/// proves: process namespace mount; ending mounts
#[test]
fn a_run_mounts_nothing_on_the_host() {
    let before = crate::support::processes::host_mounts();
    let code = "import sys\nprint('there', flush=True)\nimport time\ntime.sleep(0.5)";
    let mut stream =
        mcp::Call::new(code).with_progress().stream(server::shared().address, mcp::Era::Modern);
    stream.wait_for("there");
    assert_eq!(crate::support::processes::host_mounts(), before, "while it runs");
    stream.answer().expect("ok");
    assert_eq!(crate::support::processes::host_mounts(), before, "afterwards");
}
