//! A run ends within a second of the moment when nobody waits for it any more: the client leaves or
//! cancels, or the server stops. Whatever the program does to stay. `crashes.rs` has what is killed.
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

    use super::support::aloud::not_tried;
    use super::support::http::Connection;
    use super::support::mcp::{Call, Era, Stream, run};
    use super::support::processes::{
        Process, assert_gone, descendants, eventually, host_mounts, supervisor_of,
    };
    use super::support::programs::{Build, limits_are_hard, primcs};
    use super::support::server::{Server, shared};
    use super::support::stdio::StdioClient;
    use super::support::stubborn::STUBBORN;

    const SECOND: Duration = Duration::from_secs(1);

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
            client.cancel(id);
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

    /// proves: ending server; ending mounts
    #[test]
    fn an_interrupt_of_the_server_ends_everything_at_once() {
        let server = Server::start(&[]);
        let mounts = host_mounts();
        let (stream, mut processes) = under_way(&server, Era::Modern);
        processes.extend(descendants(server.pid()));
        let groups: BTreeSet<_> =
            processes.iter().flat_map(Process::cgroups).filter(|group| is_ours(group)).collect();
        if limits_are_hard() {
            assert!(!groups.is_empty(), "the run is in no control group");
        } else {
            not_tried("no control group is left: with soft limits there are none");
        }
        server.signal(Signal::SIGINT);
        assert_gone(&processes, SECOND);
        drop(stream);
        let status = server.wait();
        assert!(status.success(), "{status}");
        assert_eq!(host_mounts(), mounts);
        let left: Vec<_> = groups.iter().filter(|group| group.exists()).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn sigterm_lets_runs_end_by_themselves_while_new_calls_are_sent_away() {
        let server = Server::start(&[]);
        let call =
            Call::new("print('under way', flush=True)\nimport time; time.sleep(2)\nprint('done')");
        let mut stream = call.with_progress().stream(server.address, Era::Modern);
        stream.wait_for("under way");
        let ready = |address| {
            let mut connection = Connection::open(address);
            connection.send("GET", "/readyz", &[], b"");
            let answer = connection.response()?;
            let status = answer.status;
            let report = serde_json::from_str(&answer.text()?).expect("JSON");
            Ok::<(u16, serde_json::Value), std::io::Error>((status, report))
        };
        let (status, report) = ready(server.address).expect("an answer");
        assert_eq!((status, &report["draining"]), (200, &false.into()));
        server.signal(Signal::SIGTERM);
        assert!(eventually(SECOND, || ready(server.address).is_ok_and(|(status, _)| status == 503)));
        // It says why, and that nothing is broken.
        let (_, report) = ready(server.address).expect("an answer");
        assert_eq!((&report["ready"], &report["draining"]), (&false.into(), &true.into()));
        assert_eq!(report["failed"], serde_json::json!([]));
        assert!(report["failure"].as_str().is_some_and(|said| said.contains("stopping")));
        let sent_away = run(server.address, "print(1)").expect("busy");
        assert_eq!(sent_away.result()["error"]["code"], "server.draining");
        let answer = stream.answer();
        assert_eq!((answer.status(), answer.stdout()), ("ok", "under way\ndone\n"));
        assert!(server.wait().success());
    }

    /// proves: ending server
    #[test]
    fn a_run_that_goes_on_beyond_the_drain_is_ended_and_so_it_is_at_a_second_sigterm() {
        for (drain, signals) in [("1", 1), ("600", 2)] {
            let server = Server::start(&["--drain-s", drain]);
            let (stream, processes) = under_way(&server, Era::Modern);
            let began = Instant::now();
            for _ in 0..signals {
                server.signal(Signal::SIGTERM);
                // Two at once would be one to the kernel.
                assert!(eventually(SECOND, || server.log().contains("draining")));
            }
            assert_eq!(stream.answer().status(), "killed");
            assert_gone(&processes, SECOND);
            assert!(began.elapsed() < Duration::from_secs(60), "it waited for the drain");
            assert!(server.wait().success());
        }
    }

    /// The nursery's own group may be one that the tests were started in.
    fn is_ours(group: &std::path::Path) -> bool {
        let own = super::support::processes::process(std::process::id().try_into().expect("a pid"))
            .expect("this process lives");
        !own.cgroups().iter().any(|mine| mine.starts_with(group))
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
}
