# The run by which a start, `/readyz` and `primcs doctor` know that runs are confined. It touches each
# wall, and each limit of its own process and disk, and prints one line for each: an id, then `held`
# or what was seen. The supervisor holds the same list (src/supervisor/probe.rs): one left out here has
# failed. It is ours, and confined like any other, with limits small enough to be reached at little cost:
# what must hold comes in WANT, a line that the supervisor writes above this one. What the kernel
# counts (memory, processes, CPU time) the supervisor takes from the kernel, not from here. With QUIET it
# does not run into the limits of which the kernel's log would tell.
import _socket
import ctypes
import errno
import mmap
import os
import resource
import stat

MIB = 1 << 20
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
# x86_64: io_uring_enter, unshare, mount, ptrace, keyctl. No policy may allow one of them.
IO_URING_ENTER, UNSHARE, MOUNT, PTRACE, KEYCTL = 426, 272, 165, 101, 250
REFUSED = "EPERM", "ENOSYS", "EACCES"  # a policy chooses among these
STATUS = dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/self/status"))


def call(number, *arguments):
    """A system call: its result, or the name of the error."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = _libc.syscall(ctypes.c_long(number), *words)
    return result if result >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")


def refusal(action, *arguments):
    """The name of the error with which the kernel refuses, or None when it does as asked."""
    try:
        action(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))


def differs(**found):
    """What is not as WANT has it."""
    return " ".join(f"{name}={value}" for name, value in found.items() if value != WANT[name])


def touch(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))


def user():
    ids = set(os.getresuid()), set(os.getresgid())
    if ids != ({WANT["uid"]}, {WANT["gid"]}):
        return f"ids {ids}"
    more = set(os.getgroups()) - set(WANT["groups"])
    return f"groups {more}" if more else ""


def capabilities():
    sets = [name for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") if int(STATUS[name], 16)]
    return " ".join(f"{name}={STATUS[name]}" for name in sets)


def no_new_privs():
    return "" if STATUS["NoNewPrivs"] == "1" else f"NoNewPrivs {STATUS['NoNewPrivs']}"


def seccomp():
    # PTRACE_SEIZE of nobody, a ring that is not open: the kernel would say ESRCH and EBADF.
    answers = call(PTRACE, 0x4206, 999, 0, 0), call(IO_URING_ENTER, 999, 0, 0, 0, 0, 0)
    held = STATUS["Seccomp"] == "2" and all(answer in REFUSED for answer in answers)
    return "" if held else f"Seccomp {STATUS['Seccomp']}, ptrace and io_uring_enter {answers}"


def namespaces():
    answer = call(UNSHARE, 0x10000000)
    return "" if answer in REFUSED else f"unshare {answer}"


def mounts():
    answer = call(MOUNT, b"none", b".", b"tmpfs", 0, 0)
    return "" if answer in REFUSED else f"mount {answer}"


def keyring():
    answer = call(KEYCTL, 0, -3, 0)
    return "" if answer in REFUSED else f"keyctl {answer}"


def landlock():
    # The kernel asks Landlock first, whose word is EACCES, and the capability after it: EPERM. Not a
    # whiteout, which needs no capability: kernels of 2026 no longer count it as a device. A filter
    # stricter than ours knows no such call at all (ENOSYS).
    if WANT["landlock"]:
        answer = refusal(os.mknod, "device", stat.S_IFCHR, os.makedev(1, 5))
        return "" if answer in ("EACCES", "ENOSYS") else f"mknod {answer or 'succeeded'}"


def network():
    interfaces = [line.split(":")[0].strip() for line in open("/proc/self/net/dev") if ":" in line]
    others = [name for name in interfaces if name != "lo"]
    answer = refusal(lambda: _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM).connect(("192.0.2.1", 9)))
    if others or answer not in REFUSED + ("ENETUNREACH", "EAFNOSUPPORT"):
        return f"interfaces {others}, connect {answer or 'succeeded'}"


def sockets():
    kinds = {"netlink": (16, 3, 0), "raw": (2, 3, 1), "packet": (17, 3, 0), "vsock": (40, 1, 0)}
    made = [name for name, kind in kinds.items() if not refusal(lambda k: _socket.socket(*k).close(), kind)]
    return " ".join(made)


def root():
    writable = [path for path in ("/", "/usr", "/etc") if not os.statvfs(path).f_flag & os.ST_RDONLY]
    made = [path for path in ("/probe", "/usr/probe", "/etc/probe") if not refusal(touch, path)]
    return " ".join(writable + made)


def host_files():
    paths = "/root", "/boot", "/sys", "/run", "/etc/shadow", "/etc/fstab", "/var/lib", "/var/log"
    return " ".join(path for path in paths if os.path.lexists(path))


def proc_masks():
    suspects = "cmdline kcore keys kallsyms kmsg modules interrupts sysrq-trigger timer_list vmstat".split()
    shown = [name for name in suspects if refusal(os.stat, f"/proc/{name}") is None
             and stat.S_ISREG(os.stat(f"/proc/{name}").st_mode)]
    return " ".join(shown + [name for name in ("irq", "bus", "fs", "acpi") if listed(f"/proc/{name}")])


def listed(path):
    return os.path.isdir(path) and os.listdir(path)


def proc_read_only():
    if not os.statvfs("/proc").f_flag & os.ST_RDONLY:
        return "writable"


def processes():
    seen = sorted(name for name in os.listdir("/proc") if name.isdigit())
    return "" if os.getpid() == 2 and seen == ["1", "2"] else f"pid {os.getpid()} sees {seen[:9]}"


def init():
    return "" if refusal(open, "/proc/1/environ") else "/proc/1/environ opens"


def environment():
    return " ".join(sorted(set(os.environ) - set(WANT["environment"])))


def descriptors():
    foreign = []
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 3 and not refusal(os.fstat, int(name)):
            target = os.readlink(f"/proc/self/fd/{name}")
            if not target.startswith(("/workspace", "/proc")):
                foreign.append(target)
    return " ".join(foreign)


def cgroup():
    others = [line.strip() for line in open("/proc/self/cgroup") if line.rstrip().split(":", 2)[2] != "/"]
    return " ".join(others)


def hostname():
    return differs(hostname=os.uname().nodename)


def oom_rank():
    return differs(oom_score_adj=int(open("/proc/self/oom_score_adj").read()))


def rlimits():
    names = WANT["rlimits"].keys() - {"RLIMIT_CORE"}
    found = {name: resource.getrlimit(getattr(resource, name)) for name in sorted(names)}
    return " ".join(f"{name}={got}" for name, got in found.items() if got != (WANT["rlimits"][name],) * 2)


def core():
    got = resource.getrlimit(resource.RLIMIT_CORE)
    return "" if got == (WANT["rlimits"]["RLIMIT_CORE"],) * 2 else f"core limit {got}"


def open_files():
    held, answer = [], None
    while not answer and len(held) <= WANT["rlimits"]["RLIMIT_NOFILE"]:
        answer = refusal(lambda: held.append(os.dup(1)))
    for descriptor in held:
        os.close(descriptor)
    return "" if answer == "EMFILE" else f"{len(held)} opened, {answer}"


def file_size():
    if "RLIMIT_FSIZE" not in WANT["rlimits"]:
        return ""  # A policy may leave it out: the disk is limited all the same.
    file = os.open("long", os.O_WRONLY | os.O_CREAT)
    answer = refusal(os.pwrite, file, b"x", WANT["rlimits"]["RLIMIT_FSIZE"])
    os.close(file)
    os.unlink("long")
    return "" if answer == "EFBIG" else f"write beyond it: {answer or 'succeeded'}"


def disk():
    file, written, answer = os.open("large", os.O_WRONLY | os.O_CREAT), 0, None
    while not answer and written <= 2 * WANT["disk"]:
        answer = refusal(os.write, file, b"x" * 65536)
        written += 65536
    os.close(file)
    os.unlink("large")
    return "" if answer == "ENOSPC" else f"{written} bytes written, {answer}"


def inodes():
    made, answer = 0, None
    while not answer and made <= 2 * WANT["inodes"]:
        answer = refusal(touch, f"file-{made}")
        made += 1
    for number in range(made):
        refusal(os.unlink, f"file-{number}")
    return "" if answer == "ENOSPC" else f"{made} files made, {answer}"


def pids():
    """Says nothing: the kernel's count does."""
    ends, children, answer = os.pipe(), [], None
    while not answer and len(children) <= 2 * WANT["pids"]:
        try:
            child = os.fork()
        except OSError as error:
            answer = error
            continue
        if not child:
            os.close(ends[1])
            os.read(ends[0], 1)
            os._exit(0)
        children.append(child)
    os.close(ends[1])
    for child in children:
        os.waitpid(child, 0)


def memory():
    """Does not come back where memory is limited."""
    at_once = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    kept = []
    while len(kept) * MIB < 2 * WANT["memory"]:
        kept.append(mmap.mmap(-1, MIB, at_once))
        kept[-1][::4096] = b"x" * 256


WALLS = user, capabilities, no_new_privs, seccomp, namespaces, mounts, keyring, landlock, network, sockets, \
    root, host_files, proc_masks, proc_read_only, processes, init, environment, descriptors, cgroup, \
    hostname, oom_rank
LIMITS = rlimits, core, open_files, file_size, disk, inodes

checked = 0
for kind, checks in (("wall", WALLS), ("limit", LIMITS)):
    for check in checks:
        checked += 1
        try:
            seen = check()
        except Exception as error:
            seen = f"cannot tell: {type(error).__name__}: {error}"
        print(f"{kind}.{check.__name__}", " ".join(str(seen).split())[:200] if seen else "held")
if not QUIET:
    pids()
print("end", checked, flush=True)
if not QUIET:
    memory()
