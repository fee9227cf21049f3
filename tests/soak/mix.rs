//! The kinds of runs, how often each comes, and the verdict each must get.
#![forbid(unsafe_code)]

use std::sync::LazyLock;

use super::support::aloud::not_tried;
use super::support::programs::limits_are_hard;
use super::support::stubborn::STUBBORN;

/// One kind of run.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// How many of a thousand.
    per_mille: u64,
    pub(crate) code: &'static str,
    pub(crate) timeout: Option<u64>,
    /// None: the client leaves or cancels before there is an answer.
    pub(crate) status: Option<&'static str>,
    pub(crate) stdout: Option<&'static str>,
    /// Would take the host's memory where the kernel does not limit runs.
    needs_limits: bool,
}

pub(crate) const PRINT: Kind = Kind {
    name: "print",
    per_mille: 0,
    code: "print(6 * 7)",
    timeout: None,
    status: Some("ok"),
    stdout: Some("42\n"),
    needs_limits: false,
};

/// Its client closes the connection once the program has said something, which cancels over HTTP.
pub(crate) const LEFT: &str = "left while running";
/// Or before that.
pub(crate) const LEFT_AT_ONCE: &str = "left at once";
/// `notifications/cancelled` once the program has said something, over stdio.
pub(crate) const CANCELLED: &str = "cancelled";

/// Together with prints, which are what is left of the thousand.
pub(crate) const KINDS: &[Kind] = &[
    Kind {
        name: "traceback",
        per_mille: 100,
        code: "print('soon', flush=True)\nraise ValueError('as it happens')",
        status: Some("error"),
        stdout: Some("soon\n"),
        ..PRINT
    },
    Kind {
        name: "crash of Python",
        per_mille: 20,
        code: "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
        status: Some("error"),
        stdout: Some(""),
        ..PRINT
    },
    Kind {
        name: "files written",
        per_mille: 100,
        code: "
            for place in ('/workspace', '/workspace/output', '/tmp', '/dev/shm'):
                for n in range(50):
                    with open(f'{place}/{n}', 'wb') as file:
                        file.write(b'x' * 20_000)
            print('written')
        ",
        stdout: Some("written\n"),
        ..PRINT
    },
    Kind {
        name: "child left behind",
        per_mille: 100,
        code: "
            import os, signal, time
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.kill(os.getpid(), signal.SIGSTOP)
                time.sleep(600)
            print('leaving')
        ",
        stdout: Some("leaving\n"),
        ..PRINT
    },
    Kind {
        name: "sockets left open",
        per_mille: 50,
        code: "
            import os, socket
            server = socket.create_server(('127.0.0.1', 0))
            kept = [socket.create_connection(server.getsockname()) for _ in range(20)]
            pairs = [socket.socketpair() for _ in range(20)]
            print('open', flush=True)
            os._exit(0)
        ",
        stdout: Some("open\n"),
        ..PRINT
    },
    Kind {
        name: "time-out",
        per_mille: 40,
        code: "import time\nprint('waiting', flush=True)\ntime.sleep(600)",
        timeout: Some(1),
        status: Some("timeout"),
        // On a busy machine its time is up before Python is.
        stdout: None,
        ..PRINT
    },
    Kind {
        name: LEFT,
        per_mille: 50,
        code: "import time\nprint('under way', flush=True)\ntime.sleep(600)",
        status: None,
        ..PRINT
    },
    Kind { name: CANCELLED, per_mille: 20, code: STUBBORN, status: None, ..PRINT },
    Kind {
        name: LEFT_AT_ONCE,
        per_mille: 50,
        code: "import time\ntime.sleep(600)",
        status: None,
        ..PRINT
    },
    Kind {
        name: "output flood",
        per_mille: 10,
        code: "import os\nwhile True:\n    os.write(1, b'x' * 65536)",
        status: Some("output_limit"),
        stdout: None,
        ..PRINT
    },
    Kind {
        name: "memory bomb",
        per_mille: 5,
        code: "kept = []\nwhile True:\n    kept.append(b'x' * (8 << 20))",
        status: Some("out_of_memory"),
        stdout: None,
        needs_limits: true,
        ..PRINT
    },
    Kind {
        name: "fork bomb",
        per_mille: 5,
        code: "
            import os
            while True:
                try:
                    os.fork()
                except OSError:
                    pass
        ",
        timeout: Some(1),
        status: Some("timeout"),
        stdout: None,
        needs_limits: true,
    },
    PRINT,
];

impl Kind {
    /// Whether the kernel would stop it here.
    pub(crate) fn is_tried(&self) -> bool {
        static HARD: LazyLock<bool> = LazyLock::new(|| {
            if !limits_are_hard() {
                not_tried("bombs: with soft limits nothing would stop them");
            }
            limits_are_hard()
        });
        !self.needs_limits || *HARD
    }
}

/// The kind of the run with this number: mixed, and the same each time.
pub(crate) fn kind_of(number: u64) -> &'static Kind {
    // Without a common factor with 1,000: each thousand runs has every kind as often as it says.
    let mut place = number * 617 % 1_000;
    for kind in KINDS {
        if place < kind.per_mille {
            return if kind.is_tried() { kind } else { &PRINT };
        }
        place -= kind.per_mille;
    }
    &PRINT
}
