//! Limits that no bomb of `tests/limits` meets: every rlimit, whatever the server was started with,
//! and the bytes that wait in one socket.
#![forbid(unsafe_code)]

use std::process::Command;
use std::sync::LazyLock;

use primcs::policy::Policy;
use primcs::policy::limits::Resource;
use serde_json::{Value, json};

use super::support::aloud::not_tried;
use super::support::programs::{Build, finish, primcs, weaken};

/// More than the policy gives, of each where this user may have more.
fn raised() -> &'static [String] {
    static RAISED: LazyLock<Vec<String>> = LazyLock::new(|| {
        let wanted = [
            "nice=19",
            "rtprio=7",
            "memlock=8388608",
            "sigpending=9000",
            "msgqueue=819200",
            "fsize=unlimited",
            "stack=67108864",
            "nproc=9000",
        ];
        let flags = wanted.map(|limit| format!("--{limit}"));
        let works = |flag: &String| {
            let tried = Command::new("prlimit").args([flag, "true"]).output();
            tried.expect("prlimit of util-linux").status.success()
        };
        flags.into_iter().filter(works).collect()
    });
    &RAISED
}

/// A run of a server that inherits limits above the policy's, where we may raise ours.
fn run(build: Build, barriers: &[&str], code: &str) -> Value {
    let own = primcs(build, "run");
    let mut command = Command::new("prlimit");
    command.args(raised()).arg(own.get_program()).args(own.get_args());
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if !barriers.is_empty() {
        command.env("PRIMCS_WEAKEN", weaken(barriers));
    }
    let finished = finish(command.arg("-"), code);
    let said = finished.stdout();
    serde_json::from_str(&said)
        .unwrap_or_else(|error| panic!("{error}: {said} {}", finished.stderr()))
}

/// Tries to take more than each rlimit, and to raise each; says what was held.
const TAKE: &str = "
import ctypes, json, os, resource, signal, threading
libc = ctypes.CDLL(None, use_errno=True)
names = 'core nofile nproc fsize stack memlock msgqueue sigpending nice rtprio'.split()
number = lambda name: getattr(resource, 'RLIMIT_' + name.upper(), {'memlock': 8, 'nproc': 6, 'sigpending': 11, 'msgqueue': 12, 'nice': 13, 'rtprio': 14}.get(name))
limits = {name: resource.getrlimit(number(name)) for name in names}
raised = []
for name, (soft, hard) in limits.items():
    if soft < 0:
        continue  # Without ours there may be none.
    try:
        resource.setrlimit(number(name), (soft + 1, hard + 1))
        raised.append(name)
    except (OSError, ValueError):
        pass
held = {}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
open('/tmp/long', 'w').close()
try:
    os.truncate('/tmp/long', (512 << 20) + 1)
    held['fsize'] = False
except OSError:
    held['fsize'] = True
page = ctypes.create_string_buffer(1 << 20)
held['memlock'] = libc.mlock(page, ctypes.c_size_t(1 << 20)) != 0
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
info = (ctypes.c_char * 128).from_buffer(bytearray((-1).to_bytes(4, 'little', signed=True).rjust(12, b'\\0').ljust(128, b'\\0')))
queued = 0
while queued < 1500 and libc.syscall(129, os.getpid(), int(signal.SIGRTMIN), info) == 0:
    queued += 1
held['sigpending'] = queued < 1500
try:
    os.setpriority(os.PRIO_PROCESS, 0, -1)
    held['nice'] = False
except OSError:
    held['nice'] = True
try:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    held['rtprio'] = False
except OSError:
    held['rtprio'] = True
# The kernel gives the arguments of a program a quarter of its stack limit: 2 MiB of 8.
child = os.fork()
if child == 0:
    try:
        os.execv('/bin/sh', ['sh', '-c', ':'] + ['x' * 100000] * 35)
    finally:
        os._exit(1)
held['stack'] = os.waitpid(child, 0)[1] != 0
threading.stack_size(65536)
end, started = threading.Event(), 1
try:
    while started < 300:
        threading.Thread(target=end.wait).start()
        started += 1
    held['nproc'] = False
except RuntimeError:
    held['nproc'] = started <= 256
end.set()
print(json.dumps({'limits': limits, 'raised': raised, 'held': held, 'started': started}))
";

/// proves: limits rlimit *
#[test]
fn each_rlimit_holds_whatever_the_server_inherited() {
    let policy = Policy::embedded().expect("the built-in policy");
    // pids.max is the lower one, so nproc is seen only without it.
    let with = run(Build::Weakened, &["pids_max"], TAKE);
    let without = run(Build::Weakened, &["pids_max", "rlimits"], TAKE);
    assert_eq!(with["raised"], json!([]), "{with}");
    for entry in &policy.limits.run.rlimit {
        let name = entry.resource.to_string();
        let (seen, freed) = (&with["limits"][&name], &without["limits"][&name]);
        assert_eq!(seen, &json!([entry.value, entry.value]), "{name}");
        if entry.resource == Resource::Core {
            continue; // isolation/have_another_core_limit.py and its neighbours
        }
        let is_raised = raised().iter().any(|flag| flag.starts_with(&format!("--{name}=")));
        if !is_raised && seen == freed {
            not_tried(&format!("to take more than rlimit {name}: this user cannot have more"));
            continue;
        }
        assert_ne!(
            seen, freed,
            "{name} is the same without our limits, so nothing is seen of ours"
        );
        // No call makes message queues, so nothing can be taken; nofile has a bomb of its own.
        if !matches!(entry.resource, Resource::Msgqueue | Resource::Nofile) {
            assert_eq!(with["held"][&name], json!(true), "{name} with it: {with}");
            assert_eq!(without["held"][&name], json!(false), "{name} without it: {without}");
        }
    }
    let shipped = run(Build::Normal, &[], TAKE);
    assert_eq!(shipped["limits"], with["limits"]);
    assert_eq!(shipped["raised"], json!([]));
}

/// One connection: the count of sockets, which the same barrier holds, is far away.
const FILL: &str = "
    import fcntl, json, socket, struct, threading
    server = socket.create_server(('127.0.0.1', 0))
    sender = socket.create_connection(server.getsockname())
    receiver, _ = server.accept()
    # A reader that keeps up is what makes the kernel widen a receive buffer.
    def read(left):
        while left > 0:
            left -= len(receiver.recv(1 << 20))
    reader = threading.Thread(target=read, args=(32 << 20,))
    reader.start()
    sender.sendall(b'x' * (32 << 20))
    reader.join()
    sender.settimeout(0.3)
    try:
        while True:
            sender.send(b'x' * 65536)
    except TimeoutError:
        pass
    unread = struct.unpack('i', fcntl.ioctl(receiver, 0x541B, struct.pack('i', 0)))[0]
    print(json.dumps(unread))
";

/// proves: limits sockets `tcp_rmem`
#[test]
fn what_waits_unread_in_one_socket_is_bounded() {
    let most = Policy::embedded().expect("the built-in policy").limits.run.sockets.tcp_rmem.value;
    let with = run(Build::Normal, &[], FILL).as_u64().expect("bytes");
    let without = run(Build::Weakened, &["sockets"], FILL).as_u64().expect("bytes");
    assert!(with > 0 && with <= most, "{with} bytes wait, {most} may");
    assert!(without > 4 * most, "only {without} bytes wait without the limit");
}
