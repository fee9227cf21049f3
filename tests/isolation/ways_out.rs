//! Ways out that other tools had (docs/past-escapes.md) and that no barrier with a switch stops
//! here: the world of a run is built so that they lead nowhere. So there is no weakened half; each
//! looks for more than one trace, and none passes when what it looks at is missing.
#![forbid(unsafe_code)]

use crate::support::mcp;
use crate::support::server;

/// Runs `code` after a few words of its own, and returns what it printed, one line each.
fn lines(code: &str) -> Vec<String> {
    let code = format!("{PRELUDE}{code}");
    let answer = mcp::run(server::shared().address, &code).expect("ok");
    answer.stdout().lines().map(str::to_owned).collect()
}

/// `met(what, deed, *arguments)` prints what came of a deed: its errno by name, or `done`.
const PRELUDE: &str = "
import errno, os, socket, stat, subprocess, sys
def met(what, deed, *arguments):
    try:
        deed(*arguments)
        print(what, 'done')
    except OSError as refusal:
        print(what, errno.errorcode[refusal.errno])
";

/// Every line ends in one of these words, and there are as many lines as were asked for.
#[track_caller]
fn all_met(lines: &[String], count: usize, refusals: &[&str]) {
    assert_eq!(lines.len(), count, "{lines:?}");
    for line in lines {
        let word = line.rsplit(' ').next().expect("a word");
        assert!(refusals.contains(&word), "{line}");
    }
}

/// runc's own program was written through `/proc/self/exe` of what it had started (CVE-2019-5736).
/// proves: mounts root.base ro; process landlock base
#[test]
fn a_run_cannot_write_to_any_program_that_is_running() {
    let code = "
for path in ('/proc/1/exe', '/proc/self/exe', '/proc/2/exe', sys.executable, '/bin/sh'):
    met(path, os.open, path, os.O_WRONLY)
    met(path, os.open, path, os.O_RDWR | os.O_TRUNC)
    met(path, os.truncate, path, 0)
    met(path, os.chmod, path, 0o777)
";
    all_met(&lines(code), 20, &["EACCES", "EROFS", "EPERM"]);
}

/// A working directory outside the root was the way out of runc in 2024 (CVE-2024-21626).
/// proves: mounts root; process namespace mount; process identity directory
#[test]
fn a_run_starts_inside_its_own_root_and_cannot_climb_out() {
    let code = "
up = '../' * 40
root = os.stat('/')
for place in ('', '/proc/self/cwd/', '/proc/self/root/', '/proc/2/cwd/', '/tmp/'):
    found = os.stat(place + up)
    print((found.st_dev, found.st_ino) == (root.st_dev, root.st_ino))
print(os.getcwd(), os.readlink('/proc/self/cwd'), os.readlink('/proc/self/root'))
";
    let seen = lines(code);
    assert_eq!(seen[..5], ["True"; 5], "{seen:?}");
    assert_eq!(seen[5..], ["/workspace /workspace /"]);
}

/// Privilege lies in files: devices of the host, setuid programs.
#[test]
fn a_run_makes_no_device_and_no_program_that_gives_it_another_id() {
    let code = "
import shutil
for kind, major, minor in ((stat.S_IFCHR, 1, 1), (stat.S_IFBLK, 8, 0)):
    met('mknod', os.mknod, f'/tmp/{major}-{minor}', kind | 0o666, os.makedev(major, minor))
def whiteout():
    # The one node that anybody may make on a disk of his own (5.8): no driver has this number.
    os.mknod('/tmp/0-0', stat.S_IFCHR | 0o666, os.makedev(0, 0))
    os.open('/tmp/0-0', os.O_RDWR)
met('whiteout', whiteout)
for deed in (os.setuid, os.setgid, os.seteuid):
    met(deed.__name__, deed, 0)
met('setgroups', os.setgroups, [0])
met('chown', os.chown, shutil.copy(shutil.which('id'), '/tmp/id'), 0, 0)
os.chmod('/tmp/id', 0o6755)
print(subprocess.check_output(['/tmp/id', '-u'], text=True), end='')
";
    let seen = lines(code);
    all_met(&seen[..8], 8, &["EACCES", "EPERM", "EINVAL"]);
    assert_eq!(seen[8..], ["1000"]);
}

/// `mount_the_control_groups.py` tries to get them; this looks for those that are there already, as
/// they were below `/sys` in rootless runc (CVE-2023-25809).
/// proves: mounts root
#[test]
fn a_run_finds_no_control_group_and_no_kernel_file_system() {
    let code = "
kinds = {line.split(' - ')[1].split()[0] for line in open('/proc/self/mountinfo')}
print(sorted(kinds))
print([path for path in ('/sys', '/sys/fs/cgroup', '/cgroup', '/debug') if os.path.exists(path)])
";
    let seen = lines(code);
    let kinds: Vec<_> = seen[0].trim_matches(['[', ']']).split(", ").collect();
    assert!(kinds.contains(&"'proc'") && kinds.contains(&"'tmpfs'"), "{kinds:?}");
    for kernels in ["cgroup", "cgroup2", "sysfs", "debugfs", "tracefs", "securityfs", "bpf"] {
        assert!(!kinds.contains(&format!("'{kernels}'").as_str()), "{kernels}: {kinds:?}");
    }
    assert_eq!(seen[1..], ["[]"]);
}

/// Metadata services, private ranges, their IPv6 forms, neighbours on the wire (mcp-run-python,
/// Judge0's CVE-2024-29021, pydantic-ai's GHSA-2jrp-274c-jhv3).
/// proves: process namespace network
#[test]
fn a_run_has_no_way_to_any_address_but_its_own() {
    let code = "
four = ('169.254.169.254', '10.0.0.1', '172.17.0.1', '192.168.1.1', '100.100.100.200', '1.1.1.1', '224.0.0.251', '255.255.255.255')
six = ('::ffff:169.254.169.254', '64:ff9b::a9fe:a9fe', 'fd00:ec2::254', '2606:4700::1111', 'ff02::1')
for family, addresses in ((socket.AF_INET, four), (socket.AF_INET6, six)):
    for address in addresses:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            if family == socket.AF_INET:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            met(address, one.sendto, b'x', (address, 53))
        with socket.socket(family) as one:
            one.settimeout(5)
            met(address, one.connect, (address, 80))
print([line.split(':')[0].strip() for line in open('/proc/net/dev').read().splitlines()[2:]])
";
    let seen = lines(code);
    all_met(&seen[..26], 26, &["ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"]);
    assert_eq!(seen[26..], ["['lo']"]);
}

/// Which pages of the shared copy are cached says what neighbours have just read.
/// proves: seccomp-run deny mincore; seccomp-run otherwise; seccomp-run allow preadv2 flags
#[test]
fn a_run_cannot_ask_which_pages_of_the_copy_are_cached() {
    let code = "
import ctypes, mmap
libc = ctypes.CDLL(None, use_errno=True)
file = os.open(sys.executable, os.O_RDONLY)
pages = mmap.mmap(file, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE, flags=mmap.MAP_PRIVATE)
place = ctypes.addressof(ctypes.c_char.from_buffer(pages))
answer = ctypes.create_string_buffer(64)
def call(number, *arguments):
    if libc.syscall(ctypes.c_long(number), *arguments):
        raise OSError(ctypes.get_errno(), 'call')
met('mincore', call, 27, ctypes.c_void_p(place), ctypes.c_long(4096), answer)
met('cachestat', call, 451, file, answer, answer, 0)
met('preadv2 RWF_NOWAIT', os.preadv, file, [bytearray(4096)], 0, os.RWF_NOWAIT)
print(os.preadv(file, [bytearray(4096)], 0))
";
    let seen = lines(code);
    all_met(&seen[..3], 3, &["EPERM", "ENOSYS", "ENOTSUP"]);
    assert_eq!(seen[3..], ["4096"]);
}

/// A piped core handler runs as the host's root (isolate's manual, and every `core_pattern` escape).
/// proves: limits rlimit core
#[test]
fn a_crash_in_a_run_dumps_no_core() {
    let code = "
import resource, signal
print(resource.getrlimit(resource.RLIMIT_CORE))
for signal_number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGQUIT):
    child = os.fork()
    if child == 0:
        signal.signal(signal_number, signal.SIG_DFL)
        os.kill(os.getpid(), signal_number)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    print(os.WTERMSIG(status) == signal_number, os.WCOREDUMP(status))
print([name for name in os.listdir('.') if 'core' in name])
";
    let seen = lines(code);
    assert_eq!(seen[0], "(1, 1)");
    assert_eq!(seen[1..4], ["True False"; 3], "{seen:?}");
    assert_eq!(seen[4..], ["[]"]);
}
