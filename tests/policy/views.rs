//! What a run sees and is, line by line of the policy: flags of its mounts, modes of its
//! directories, links and devices, what the private copy leaves out, ids, namespaces, securebits.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use primcs::policy::Policy;
use primcs::policy::mounts::{FileName, MountFlag, RootPath};
use primcs::policy::process::{NamespaceKind, Securebit};
use serde_json::Value;

use super::support::aloud::not_tried;
use super::support::mcp;
use super::support::programs::{Build, finish, primcs, weaken};
use super::support::server::shared;

fn policy() -> Policy {
    Policy::embedded().expect("the built-in policy")
}

fn in_a_run(code: &str) -> Value {
    let answer = mcp::run(shared().address, code).expect("ok");
    serde_json::from_str(answer.stdout())
        .unwrap_or_else(|error| panic!("{error}: {}", answer.stdout()))
}

fn without(barriers: &[&str], code: &str) -> Value {
    let mut command = primcs(Build::Weakened, "run");
    let finished = finish(command.env("PRIMCS_WEAKEN", weaken(barriers)).arg("-"), code);
    let said = finished.stdout();
    serde_json::from_str(&said)
        .unwrap_or_else(|error| panic!("{error}: {said} {}", finished.stderr()))
}

fn words(value: &Value) -> BTreeSet<String> {
    let list = value.as_array().unwrap_or_else(|| panic!("no list: {value}"));
    list.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

fn named(flags: &[MountFlag]) -> BTreeSet<String> {
    flags.iter().map(|flag| format!("{flag:?}").to_lowercase()).collect()
}

/// The flags of each mount as the kernel tells them; what lies on top counts.
const MOUNTS: &str = "
    import json
    mounts = {}
    for line in open('/proc/self/mountinfo'):
        mounts[line.split()[4]] = [f for f in line.split()[5].split(',') if f in ('ro', 'nosuid', 'nodev', 'noexec')]
    print(json.dumps(mounts))
";

/// proves: mounts root.tmpfs *; mounts root.base *; mounts run *; mounts proc ro
/// proves: mounts proc nosuid; mounts proc nodev; mounts proc noexec
#[test]
fn each_mount_has_exactly_the_flags_of_its_line() {
    let mounts = policy().mounts;
    let mut wanted = BTreeMap::from([
        ("/", named(&mounts.root.tmpfs.flags)),
        ("/usr", named(&mounts.root.base.flags)),
        ("/etc", named(&mounts.root.base.flags)),
        ("/proc", named(&mounts.proc.flags)),
    ]);
    for directory in &mounts.run.directory {
        wanted.insert(directory.target.as_str(), named(&mounts.run.flags));
    }
    let seen = in_a_run(MOUNTS);
    for (path, flags) in wanted {
        assert_eq!(words(&seen[path]), flags, "{path}");
    }
    // They are there because of the lines, not because the kernel would set them anyway.
    let seen = without(&["root_read_only", "proc_read_only"], MOUNTS);
    assert!(!words(&seen["/"]).contains("ro"), "{seen:#}");
    assert!(!words(&seen["/proc"]).contains("ro"), "{seen:#}");
}

/// proves: mounts run.directory *; mounts root.link *; mounts root.device *
/// proves: process identity directory; process identity umask; process environment
/// proves: process environment *
#[test]
fn directories_links_devices_and_environment_are_those_listed() {
    let (mounts, process) = (policy().mounts, policy().process);
    let code = "
        import json, os
        dev = {n: os.readlink('/dev/' + n) if os.path.islink('/dev/' + n) else '' for n in os.listdir('/dev')}
        modes = {}
        for line in open('/proc/self/mountinfo'):
            path = line.split()[4]
            modes[path] = format(os.stat(path).st_mode & 0o7777, '04o') if os.path.exists(path) else ''
        mask = os.umask(0)
        os.umask(mask)
        print(json.dumps({'dev': dev, 'modes': modes, 'umask': format(mask, '04o'), 'cwd': os.getcwd(), 'env': dict(os.environ)}))
    ";
    let seen = in_a_run(code);
    for directory in &mounts.run.directory {
        let mode = format!("{:04o}", directory.mode);
        assert_eq!(seen["modes"][directory.target.as_str()], mode, "{:?}", directory.target);
    }
    let mut dev: BTreeMap<String, String> = mounts
        .root
        .device
        .iter()
        .map(|one| (one.name.as_str().to_owned(), String::new()))
        .collect();
    for link in &mounts.root.link {
        let name = link.path.as_str().strip_prefix("/dev/").expect("all are below /dev");
        dev.insert(name.to_owned(), link.to.clone());
    }
    dev.insert("shm".to_owned(), String::new());
    assert_eq!(seen["dev"], serde_json::json!(dev), "nothing else is in /dev");
    assert_eq!(seen["umask"], process.identity.umask.value.to_string());
    assert_eq!(seen["cwd"], process.identity.directory.value.as_str());
    let listed: BTreeMap<_, _> =
        process.environment.iter().map(|one| (one.name.as_str(), one.value.as_str())).collect();
    assert_eq!(seen["env"], serde_json::json!(listed), "nothing else is in the environment");
}

/// Whether a name is one that a list leaves out: itself, or by a `*` at its end or beginning.
fn is_left_out(name: &str, skip: &str) -> bool {
    match (skip.strip_suffix('*'), skip.strip_prefix('*')) {
        (Some(beginning), _) => name.starts_with(beginning),
        (None, Some(end)) => name.ends_with(end),
        (None, None) => name == skip,
    }
}

/// proves: mounts base.python.skip *; mounts base.tree.skip *; mounts `base.tool_path`
/// proves: mounts base; mounts root
#[test]
fn the_copy_holds_nothing_but_what_is_listed() {
    let base = policy().mounts.base;
    let code = "
        import json, os, sysconfig
        def below(top):
            return sorted({n for _, d, f in os.walk(top) for n in d + f})
        names = {'python': below(sysconfig.get_path('stdlib')), 'etc': []}
        for top in TREES:
            names[top] = below(top)
        for place, _, files in os.walk('/etc'):
            names['etc'] += [os.path.join(place, f) for f in files]
        tools = {}
        for place in PATHS:
            for name in os.listdir(place) if os.path.isdir(place) else ():
                tools[name] = os.path.basename(os.readlink(os.path.join(place, name))) if os.path.islink(os.path.join(place, name)) else ''
        names['tools'], names['python3'] = tools, os.path.basename(os.path.realpath('/venv/bin/python'))
        print(json.dumps(names))
    ";
    let trees: Vec<_> = base.tree.iter().map(|tree| tree.path.as_str()).collect();
    let paths: Vec<_> = base.tool_path.directories.iter().map(RootPath::as_str).collect();
    let code = code.replace("TREES", &format!("{trees:?}")).replace("PATHS", &format!("{paths:?}"));
    let seen = in_a_run(&code);
    let refuse = |place: &str, skip: &[String]| {
        let names = words(&seen[place]);
        let host_has_it = !names.is_empty();
        for name in names {
            let by = skip.iter().find(|skip| is_left_out(&name, skip));
            assert!(by.is_none(), "{place} has {name}, which {by:?} leaves out");
        }
        host_has_it
    };
    let skip: Vec<_> = base.python.skip.iter().flat_map(|part| part.names.clone()).collect();
    assert!(refuse("python", &skip), "the standard library was not found");
    let found = base.tree.iter().filter(|tree| refuse(tree.path.as_str(), &tree.skip)).count();
    assert!(found > 1, "trees were not found");
    let listed: BTreeSet<_> =
        base.etc.iter().map(|file| format!("/etc/{}", file.name.as_str())).collect();
    let etc = words(&seen["etc"]);
    assert!(etc.is_subset(&listed), "not listed: {:?}", etc.difference(&listed));
    // A tool that is a link brings what it leads to; the interpreter is the other program there.
    let tools = seen["tools"].as_object().expect("tools");
    let mut may: BTreeSet<&str> =
        base.tool.iter().flat_map(|group| &group.names).map(FileName::as_str).collect();
    let led: Vec<_> = may.iter().filter_map(|name| tools.get(*name)?.as_str()).collect();
    may.extend(led);
    let python = seen["python3"].as_str().expect("a name");
    may.extend([python, "python3", "python"]);
    // /etc/alternatives is not in the copy, so what a link of the host leads to may be two steps away.
    let more: Vec<_> = may.iter().filter_map(|name| tools.get(*name)?.as_str()).collect();
    may.extend(more);
    let foreign: Vec<_> = tools.keys().filter(|name| !may.contains(name.as_str())).collect();
    assert!(foreign.is_empty(), "tools that nobody listed: {foreign:?}");
}

/// proves: process namespace user; process namespace mount; process namespace pid
/// proves: process namespace network; process namespace ipc; process namespace uts
/// proves: process namespace cgroup
#[test]
fn each_namespace_of_a_run_is_its_own() {
    let code = "
        import json, os
        print(json.dumps({n: os.readlink('/proc/self/ns/' + n) for n in os.listdir('/proc/self/ns')}))
    ";
    let host = |file: &str| -> String {
        let link = fs::read_link(format!("/proc/self/ns/{file}")).expect("a namespace");
        link.to_str().expect("UTF-8").to_owned()
    };
    let seen = in_a_run(code);
    for namespace in policy().process.namespace {
        let file = match namespace.kind {
            NamespaceKind::User => "user",
            NamespaceKind::Mount => "mnt",
            NamespaceKind::Pid => "pid",
            NamespaceKind::Network => "net",
            NamespaceKind::Ipc => "ipc",
            NamespaceKind::Uts => "uts",
            NamespaceKind::Cgroup => "cgroup",
        };
        let inode = seen[file].as_str().unwrap_or_else(|| panic!("no {file}: {seen}"));
        assert!(inode.starts_with(&format!("{file}:[")), "{inode}");
        assert_ne!(inode, host(file), "the host's own");
    }
    // Without the one barrier of its kind the host's is what is seen: the comparison can fail.
    assert_eq!(without(&["network"], code)["net"], host("net"));
}

/// proves: process privilege securebits
#[test]
fn securebits_are_set_and_locked() {
    const PR_GET_SECUREBITS: u32 = 27;
    let code = format!(
        "import ctypes, json\nprint(json.dumps(ctypes.CDLL(None).prctl({PR_GET_SECUREBITS}, 0, 0, 0, 0)))"
    );
    // A bit and, one higher, its lock; keep_caps itself stays off, its lock is on.
    let bits = policy().process.privilege.securebits.value.iter().fold(0, |all, bit| {
        all | match bit {
            Securebit::Noroot => 0b11,
            Securebit::NoSetuidFixup => 0b11 << 2,
            Securebit::KeepCapsLocked => 1 << 5,
            Securebit::NoCapAmbientRaise => 0b11 << 6,
        }
    });
    assert_eq!(in_a_run(&code), bits);
    assert_ne!(without(&["capabilities"], &code), bits, "without them");
}

/// Landlock alone, the mount flags being gone: what `/proc` grants is reading.
///
/// proves: process landlock; process landlock /proc
#[test]
fn landlock_alone_keeps_proc_from_being_written() {
    let code = "
        import json
        try:
            open('/proc/self/oom_score_adj', 'w').write('1000')
            print(json.dumps('written'))
        except OSError as refusal:
            print(json.dumps(refusal.errno))
    ";
    assert_eq!(without(&["proc_read_only"], code), libc::EACCES);
    assert_eq!(without(&["proc_read_only", "landlock"], code), "written");
}

/// proves: process landlock; process landlock /dev/zero
#[test]
fn landlock_alone_keeps_devices_from_being_asked() {
    let code = "
        import ctypes, json
        libc = ctypes.CDLL(None, use_errno=True)
        zero, tcgets, room = open('/dev/zero'), 0x5401, ctypes.create_string_buffer(64)
        libc.ioctl(zero.fileno(), tcgets, room)
        print(json.dumps(ctypes.get_errno()))
    ";
    if landlock_abi_is_older_than_5() {
        not_tried("Landlock of this kernel is older than its right ioctl_dev (6.10)");
        return;
    }
    assert_eq!(in_a_run(code), libc::EACCES);
    assert_eq!(without(&["landlock"], code), libc::ENOTTY);
}

fn landlock_abi_is_older_than_5() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("a kernel's version");
    let mut numbers = release.split(['.', '-']).map(|part| part.trim().parse().unwrap_or(0_u32));
    (numbers.next(), numbers.next()) < (Some(6), Some(10))
}

/// As many programs as the policy compiles to, on top of what this process has itself.
///
/// proves: seccomp-run otherwise; seccomp-server otherwise
#[test]
fn a_run_and_the_server_carry_the_shipped_programs_and_no_others() {
    let policy = policy();
    let filters = |status: &str| -> usize {
        let line = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"));
        line.expect("the kernel counts filters").trim().parse().expect("a number")
    };
    let own = filters(&fs::read_to_string("/proc/self/status").expect("our status"));
    let code = "import json\nprint(json.dumps(open('/proc/self/status').read()))";
    let seen = in_a_run(code);
    let programs = policy.seccomp_run.compile().expect("it compiles").len();
    assert_eq!(filters(seen.as_str().expect("a text")) - own, programs, "in a run");
    let Some(pid) = shared().own_pid() else {
        return not_tried("which process the service at PRIMCS_TEST_URL is, is not known");
    };
    let seen = fs::read_to_string(format!("/proc/{pid}/status")).expect("the server's status");
    let programs = policy.seccomp_server.compile().expect("it compiles").len();
    assert_eq!(filters(&seen) - own, programs, "in the server");
}
