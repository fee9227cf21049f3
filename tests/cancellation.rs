//! A run ends within a second of the moment when nobody waits for it any more: the client leaves or
//! cancels, the server stops, or one half is killed. Whatever the program does to stay.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use serde_json::json;

    use super::support::aloud::not_tried;
    use super::support::mcp::{Call, Era, Stream, run};
    use super::support::processes::{
        Process, assert_gone, descendants, eventually, host_mounts, supervisor_of,
    };
    use super::support::programs::{Build, limits_are_hard, primcs};
    use super::support::server::{Server, shared};
    use super::support::stdio::StdioClient;

    const SECOND: Duration = Duration::from_secs(1);

    /// Ignores what can be ignored, leaves a stopped grandchild and one in a session of its own.
    const STUBBORN: &str = "
        import os, signal, time
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(600)
        print('under way', flush=True)
        time.sleep(600)
    ";

    /// A stubborn run under way, and all its processes: init, program, child, grandchild.
    fn under_way(server: &Server, era: Era) -> (Stream, BTreeSet<Process>) {
        run(server.address, "print(1)").expect("ok");
        let supervisor = server.supervisor();
        let before = descendants(supervisor.pid);
        let call = Call::new(STUBBORN).with_progress();
        let mut stream = call.stream(server.address, era);
        stream.wait_for("under way");
        let new = || descendants(supervisor.pid).difference(&before).cloned().collect();
        (stream, four(new))
    }

    fn four(new: impl Fn() -> BTreeSet<Process>) -> BTreeSet<Process> {
        assert!(eventually(SECOND, || new().len() >= 4), "found only {:?}", new());
        new()
    }

    /// proves: ending client
    #[test]
    fn a_client_that_leaves_ends_its_run_in_both_eras() {
        for era in Era::BOTH {
            let (stream, processes) = under_way(shared(), era);
            drop(stream);
            assert_gone(&processes, SECOND);
        }
    }

    #[test]
    fn a_client_that_leaves_before_anything_was_said_ends_its_run() {
        let server = Server::start(&[]);
        run(server.address, "print(1)").expect("ok");
        let supervisor = server.supervisor();
        // The first run is answered before it is cleared away; then only the spawner is there.
        let idle = 1;
        assert!(eventually(SECOND, || descendants(supervisor.pid).len() == idle));
        for era in Era::BOTH {
            let connection = Call::new(STUBBORN).send(server.address, era);
            let live = || descendants(supervisor.pid);
            assert!(
                eventually(Duration::from_secs(5), || live().len() >= idle + 4),
                "{:?}",
                live()
            );
            drop(connection);
            assert!(eventually(SECOND, || live().len() <= idle), "{era:?}: {:?}", live());
        }
    }

    #[test]
    fn other_runs_go_on_when_one_client_leaves() {
        let call = Call::new("import time\nprint('a', flush=True)\ntime.sleep(2)\nprint('b')");
        let mut stays = call.with_progress().stream(shared().address, Era::Modern);
        stays.wait_for("a");
        let (leaves, processes) = under_way(shared(), Era::Modern);
        drop(leaves);
        assert_gone(&processes, SECOND);
        assert_eq!(stays.answer().expect("ok").stdout(), "a\nb\n");
    }

    /// A stubborn run over stdio, and its processes.
    fn over_stdio(client: &mut StdioClient) -> (u64, BTreeSet<Process>) {
        let first = client.call(&Call::new("print(1)"));
        client.answer(first);
        let supervisor = supervisor_of(client.pid());
        let before = descendants(supervisor.pid);
        let id = client.call(&Call::new(STUBBORN).with_progress());
        client.wait_for("under way");
        let new = || descendants(supervisor.pid).difference(&before).cloned().collect();
        (id, four(new))
    }

    /// proves: ending client
    #[test]
    fn a_cancelled_notification_ends_the_run_over_stdio() {
        for era in Era::BOTH {
            let mut client = StdioClient::start(era);
            let (id, processes) = over_stdio(&mut client);
            client.send(&json!({
                "jsonrpc": "2.0", "method": "notifications/cancelled",
                "params": { "requestId": id, "reason": "the test has seen enough" },
            }));
            assert_gone(&processes, SECOND);
            let next = client.call(&Call::new("print('still here')"));
            let answer = client.answer(next);
            assert_eq!(answer["result"]["structuredContent"]["stdout"], "still here\n", "{era:?}");
        }
    }

    /// proves: ending server
    #[test]
    fn the_end_of_stdin_ends_runs_and_the_program() {
        for era in Era::BOTH {
            let mut client = StdioClient::start(era);
            let (_, mut processes) = over_stdio(&mut client);
            processes.insert(supervisor_of(client.pid()));
            let mounts = host_mounts();
            client.close_stdin();
            let asked = Instant::now();
            assert_gone(&processes, SECOND);
            let status = client.wait();
            assert!(asked.elapsed() < SECOND, "{era:?}: ended after {:?}", asked.elapsed());
            assert!(status.success(), "{era:?}: {status}");
            assert_eq!(host_mounts(), mounts);
        }
    }

    /// Ends a server with a live run in this way and looks for what is left.
    fn nothing_is_left_after(end: impl FnOnce(&Server)) -> Server {
        let server = Server::start(&[]);
        let mounts = host_mounts();
        let (stream, mut processes) = under_way(&server, Era::Modern);
        // With soft limits a run is in the group of the tests.
        let groups: BTreeSet<_> =
            processes.iter().flat_map(Process::cgroups).filter(|group| is_ours(group)).collect();
        if limits_are_hard() {
            assert!(!groups.is_empty(), "the run is in no control group");
        } else {
            not_tried("control groups are left empty: with soft limits there are none");
        }
        processes.extend(descendants(server.pid()));
        end(&server);
        assert_gone(&processes, SECOND);
        assert_eq!(host_mounts(), mounts);
        drop(stream);
        for group in &groups {
            let members =
                || std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            assert!(eventually(SECOND, || members().is_empty()), "{group:?}: {}", members());
        }
        server
    }

    /// proves: ending server; ending mounts
    #[test]
    fn sigterm_of_the_server_ends_everything() {
        let mut groups = BTreeSet::new();
        let server = nothing_is_left_after(|server| {
            let live = descendants(server.supervisor().pid);
            groups.extend(live.iter().flat_map(Process::cgroups));
            server.signal(Signal::SIGTERM);
        });
        let status = server.wait();
        assert!(status.success(), "{status}");
        // An orderly end leaves no directory either.
        let left: Vec<_> = groups.iter().filter(|group| is_ours(group) && group.exists()).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// The nursery's own group may be one that the tests were started in.
    fn is_ours(group: &std::path::Path) -> bool {
        let own = super::support::processes::process(std::process::id().try_into().expect("a pid"))
            .expect("this process lives");
        !own.cgroups().iter().any(|mine| mine.starts_with(group))
    }

    /// proves: ending server; ending mounts
    #[test]
    fn kill_9_of_the_server_ends_everything() {
        let server = nothing_is_left_after(|server| server.signal(Signal::SIGKILL));
        assert!(!server.wait().success());
    }

    /// proves: ending supervisor
    #[test]
    fn kill_9_of_the_supervisor_ends_everything_and_the_server_says_so() {
        let server = nothing_is_left_after(|server| {
            let supervisor = server.supervisor();
            kill(Pid::from_raw(supervisor.pid), Signal::SIGKILL).expect("killing the supervisor");
        });
        assert!(!server.wait().success(), "a server without its supervisor must not look healthy");
    }

    /// proves: ending remains
    #[test]
    fn what_a_killed_supervisor_left_is_removed_at_the_next_start() {
        let mut groups = BTreeSet::new();
        let server = nothing_is_left_after(|server| {
            let live = descendants(server.supervisor().pid);
            groups.extend(live.iter().flat_map(Process::cgroups));
            let supervisor = server.supervisor();
            kill(Pid::from_raw(supervisor.pid), Signal::SIGKILL).expect("killing the supervisor");
        });
        drop(server);
        let next = Server::start(&[]);
        run(next.address, "print(1)").expect("ok");
        drop(next);
        let left: Vec<_> = groups.iter().filter(|group| is_ours(group) && group.exists()).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn a_server_whose_log_nobody_reads_still_ends_on_sigterm() {
        let mut child = primcs(Build::Normal, "serve")
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("primcs serve");
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        let up = log.lines().map_while(Result::ok).any(|line| line.contains("http://"));
        assert!(up, "it ended instead of listening");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("a signal");
        let ended = eventually(SECOND * 2, || child.try_wait().is_ok_and(|end| end.is_some()));
        // Whatever the test says, nothing may stay.
        let _ = child.kill();
        assert!(ended, "it hangs");
    }

    #[test]
    fn the_init_of_a_run_killed_from_outside_ends_that_run_alone() {
        let server = Server::start(&[]);
        let (stream, processes) = under_way(&server, Era::Modern);
        let supervisor = server.supervisor();
        // The init is the one among them that has another of them as its child.
        let init = processes
            .iter()
            .max_by_key(|process| descendants(process.pid).len())
            .expect("four processes");
        assert!(descendants(supervisor.pid).contains(init));
        kill(Pid::from_raw(init.pid), Signal::SIGKILL).expect("killing the init");
        assert_eq!(stream.answer().status(), "killed");
        assert_gone(&processes, SECOND);
        run(server.address, "print(1)").expect("ok");
    }
}
