//! The two halves as two services, as the units of systemd/ start them: a manager listens, hands the
//! supervisor the socket as descriptor 0, and is told when each half is ready. The real manager is
//! tried in tests/vm.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;
    use std::io::Read;
    use std::os::fd::{AsFd, AsRawFd, OwnedFd};
    use std::os::unix::net::UnixDatagram;
    use std::path::PathBuf;
    use std::process::{Child, Command, ExitStatus, Stdio};
    use std::time::Duration;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::signal::{Signal, kill};
    use nix::sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
    };
    use nix::unistd::Pid;

    use super::support::mcp::{Call, Era, run};
    use super::support::processes::{descendants, eventually};
    use super::support::programs::{
        Build, empty_folder, forget_settings, limits_are_hard, program, state_dir,
    };
    use super::support::server::Server;
    use super::support::stubborn::STUBBORN;

    const START: Duration = Duration::from_secs(120);
    const SOON: Duration = Duration::from_secs(10);

    /// What a service manager does for the two, and no more.
    struct Manager {
        listening: OwnedFd,
        door: PathBuf,
        heard: UnixDatagram,
        notify: PathBuf,
    }

    impl Manager {
        fn new(name: &str) -> Self {
            let folder = empty_folder(&format!("service-{name}"));
            let (door, notify) = (folder.join("supervisor"), folder.join("notify"));
            let kind = SockType::SeqPacket;
            let listening = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None);
            let listening = listening.expect("a socket");
            let address = UnixAddr::new(&door).expect("a short path");
            bind(listening.as_raw_fd(), &address).expect("bind");
            listen(&listening, Backlog::new(4).expect("a backlog")).expect("listen");
            let heard = UnixDatagram::bind(&notify).expect("a socket");
            heard.set_read_timeout(Some(START)).expect("a time-out");
            // The server has given up root by the time it connects.
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
            for path in [&door, &notify] {
                std::fs::set_permissions(path, std::fs::Permissions::clone(&open)).expect("a mode");
            }
            Self { listening, door, heard, notify }
        }

        fn supervisor(&self, arguments: &[&str]) -> Child {
            let mut command = Command::new(program(Build::Normal, "primcs-supervisor"));
            forget_settings(&mut command);
            command.arg("--state-dir").arg(state_dir(Build::Normal)).args(arguments);
            if !limits_are_hard() {
                command.arg("--allow-soft-limits");
            }
            let listening = self.listening.try_clone().expect("a descriptor");
            command
                .env("NOTIFY_SOCKET", &self.notify)
                .env("WATCHDOG_USEC", "200000")
                .stdin(Stdio::from(listening))
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            command.spawn().expect("primcs-supervisor")
        }

        fn server_command(&self) -> Command {
            let mut command = Command::new(program(Build::Normal, "primcs"));
            forget_settings(&mut command);
            command.args(["serve", "--listen", "127.0.0.1:0", "--supervisor"]).arg(&self.door);
            command
        }

        /// The next thing that is not about the watchdog.
        fn next(&self) -> String {
            loop {
                let mut text = [0; 256];
                let length = self.heard.recv(&mut text).expect("something is said in time");
                let text = String::from_utf8_lossy(&text[..length]).into_owned();
                if text != "WATCHDOG=1" {
                    return text;
                }
            }
        }
    }

    /// A supervisor is killed when the test fails; it must never outlive it.
    struct Supervisor(Child);

    impl Supervisor {
        fn ended(&mut self) -> ExitStatus {
            let mut status = None;
            let over = eventually(SOON, || {
                status = self.0.try_wait().expect("waiting");
                status.is_some()
            });
            assert!(over, "the supervisor goes on");
            status.expect("just seen")
        }

        fn pid(&self) -> i32 {
            i32::try_from(self.0.id()).expect("a pid")
        }

        fn log(&mut self) -> String {
            let mut text = String::new();
            self.0.stderr.take().expect("a pipe").read_to_string(&mut text).expect("its log");
            text
        }
    }

    impl Drop for Supervisor {
        fn drop(&mut self) {
            // It may have ended long ago.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Whether a process holds one that is connected to a path; its log goes to a pipe here.
    fn has_a_datagram_socket(pid: i32) -> bool {
        let own: BTreeSet<_> = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .expect("its descriptors")
            .filter_map(|entry| std::fs::read_link(entry.expect("an entry").path()).ok())
            .filter_map(|link| {
                Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
            })
            .collect();
        let sockets = std::fs::read_to_string("/proc/net/unix").expect("a table");
        sockets.lines().any(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            // Type 2 is SOCK_DGRAM.
            fields.get(4) == Some(&"0002")
                && fields.get(6).is_some_and(|inode| own.contains(*inode))
        })
    }

    #[test]
    fn each_half_says_when_it_is_ready_and_a_server_after_the_other_finds_a_fresh_supervisor() {
        let manager = Manager::new("ready");
        for _ in 0..2 {
            let mut supervisor = Supervisor(manager.supervisor(&[]));
            assert_eq!(manager.next(), "READY=1");
            let mut command = manager.server_command();
            command.env("NOTIFY_SOCKET", &manager.notify);
            let server = Server::of(&command);
            assert!(manager.next().starts_with("READY=1\nSTATUS=MCP at http://127.0.0.1:"));
            assert_eq!(run(server.address, "print(6 * 7)").expect("ok").stdout(), "42\n");
            // It must have no way to ask for more time once it has met clients.
            assert!(!has_a_datagram_socket(server.pid()), "it can still speak to the manager");
            server.signal(Signal::SIGTERM);
            assert!(server.wait().success());
            assert_eq!(manager.next(), "STOPPING=1");
            assert!(supervisor.ended().success(), "{}", supervisor.log());
        }
    }

    #[test]
    fn a_supervisor_shows_life_while_nobody_has_connected_and_ends_when_told() {
        let manager = Manager::new("life");
        let mut supervisor = Supervisor(manager.supervisor(&[]));
        assert_eq!(manager.next(), "READY=1");
        for _ in 0..3 {
            let mut text = [0; 64];
            let length = manager.heard.recv(&mut text).expect("a sign of life");
            assert_eq!(&text[..length], b"WATCHDOG=1");
        }
        kill(Pid::from_raw(supervisor.pid()), Signal::SIGTERM).expect("a signal");
        assert_eq!(manager.next(), "STOPPING=1");
        assert!(supervisor.ended().success());
    }

    #[test]
    fn when_a_server_is_killed_its_supervisor_ends_the_runs_and_leaves() {
        let manager = Manager::new("killed");
        let mut supervisor = Supervisor(manager.supervisor(&[]));
        let server = Server::of(&manager.server_command());
        let before = descendants(supervisor.pid());
        let mut stream = Call::new(STUBBORN).with_progress().stream(server.address, Era::Modern);
        stream.wait_for("under way");
        let of_run = || -> BTreeSet<_> {
            descendants(supervisor.pid()).difference(&before).cloned().collect()
        };
        assert!(eventually(SOON, || of_run().len() >= 4), "{:?}", of_run());
        let of_run = of_run();
        server.signal(Signal::SIGKILL);
        assert!(supervisor.ended().success(), "{}", supervisor.log());
        assert!(eventually(SOON, || of_run.iter().all(|process| !process.lives())));
    }

    #[test]
    fn a_server_that_waits_is_told_why_its_supervisor_cannot_start() {
        let manager = Manager::new("refused");
        let mut server = manager.server_command();
        let server = server.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::null());
        let server = server.spawn().expect("primcs");
        let mut knocks = [PollFd::new(manager.listening.as_fd(), PollFlags::POLLIN)];
        assert_eq!(
            poll(&mut knocks, PollTimeout::from(60_000u16)).expect("poll"),
            1,
            "nobody came"
        );
        let mut supervisor = Supervisor(manager.supervisor(&["--python", "/nonexistent/python"]));
        assert!(!supervisor.ended().success());
        let said = server.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.contains("/nonexistent/python"), "{said}");
        let logged = supervisor.log();
        assert!(logged.contains("/nonexistent/python"), "{logged}");
    }

    #[test]
    fn a_server_without_its_supervisor_says_which_unit_to_start() {
        let mut command = Command::new(program(Build::Normal, "primcs"));
        forget_settings(&mut command);
        command.args(["serve", "--listen", "127.0.0.1:0", "--supervisor", "/nonexistent/door"]);
        let ended = command.stdin(Stdio::null()).output().expect("primcs");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success());
        assert!(said.contains("systemctl start primcs-supervisor.socket"), "{said}");
        let both = ["--supervisor", "/x", "--python", "/usr/bin/python3"].map(OsString::from);
        let mut command = Command::new(program(Build::Normal, "primcs"));
        let refused = command.arg("serve").args(both).output().expect("primcs");
        assert_eq!(refused.status.code(), Some(2));
    }
}
