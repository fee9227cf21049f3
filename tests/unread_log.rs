//! Whoever started the server may stop reading what it logs: that ends neither runs nor the server's
//! own orderly end.
#![forbid(unsafe_code)]

#[cfg(test)]
#[path = "support/support.rs"]
mod support;

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::SocketAddr;
    use std::process::{Child, Stdio};
    use std::time::Duration;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use crate::support::mcp::{Call, Era};
    use crate::support::processes::eventually;
    use crate::support::programs::{Build, primcs};

    /// Ends with the test, however that ends.
    struct Guarded(Child);

    impl Drop for Guarded {
        fn drop(&mut self) {
            // It may have ended by itself, as it should.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn a_server_whose_log_nobody_reads_answers_and_stops() {
        let mut command = primcs(Build::Normal, "serve");
        command.args(["--listen", "127.0.0.1:0"]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut server = Guarded(command.spawn().expect("cannot start primcs"));
        let log = BufReader::new(server.0.stderr.take().expect("stderr is a pipe"));
        let address: SocketAddr = log
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("http://")?.1.split_once("/mcp")?.0.parse().ok())
            .expect("primcs serve says where it listens");
        // The reading end is closed: every line logged from here on fails.
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            tell.send(
                Call::new("print(42)")
                    .answer(address, Era::Modern)
                    .expect("ok")
                    .stdout()
                    .to_owned(),
            )
        });
        let answer = told.recv_timeout(Duration::from_secs(30)).expect("an answer in time");
        assert_eq!(answer, "42\n");

        let pid = Pid::from_raw(i32::try_from(server.0.id()).expect("a pid"));
        kill(pid, Signal::SIGTERM).expect("signalling the server");
        let mut status = None;
        let ended = eventually(Duration::from_secs(10), || {
            status = server.0.try_wait().expect("waiting for the server");
            status.is_some()
        });
        assert!(ended, "SIGTERM did not end it");
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
    }
}
