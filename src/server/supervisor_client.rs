//! Our side of the socket to the supervisor: requests out, events in, three pipes beside `started`.
//!
//! The supervisor is trusted to be what `start` has started, not to be free of bugs: a message out
//! of turn ends the connection, and with it every live run and this process.
#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdSocket;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::wire::{
    self, CancelReason, CodecError, Ended, ProbeReport, Refusal, RunRequest, Started, ToServer,
    ToSupervisor, Unable, Welcome,
};

/// Why there is no usable supervisor.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(
        "the supervisor ended before it was ready; what it said stands above, or in `journalctl -u primcs-supervisor` where it is a service, and if that is nothing it was killed: the log of the kernel (dmesg) may say by whom"
    )]
    Ended,
    #[error("{}", .0.problem)]
    Unable(Box<Unable>),
    #[error(
        "server and supervisor are not of one version ({ours} and {theirs}); install both together"
    )]
    Version { ours: &'static str, theirs: String },
    #[error(
        "server and supervisor have read different policies ({ours} and {theirs}); check that \
         --policy names a folder that both may read and that it did not change meanwhile"
    )]
    Policy { ours: String, theirs: String },
    #[error("cannot speak with the supervisor")]
    Codec(#[source] CodecError),
    #[error("the supervisor sent something else than a welcome")]
    OutOfTurn,
}

/// Says hello and waits for the welcome. Blocking: there is no runtime yet, and nothing else to do.
pub(super) fn connect(socket: &OwnedFd, policy_digest: &str) -> Result<Welcome, ConnectError> {
    let version = env!("CARGO_PKG_VERSION");
    let hello = ToSupervisor::Hello {
        version: version.to_owned(),
        policy_digest: policy_digest.to_owned(),
    };
    // A supervisor that cannot start says why and leaves, perhaps before it reads our hello.
    let sent = wire::send(socket, &hello, &[]);
    let received = match wire::receive(socket) {
        // It died with our hello unread.
        Err(CodecError::Socket(error)) if error.kind() == io::ErrorKind::ConnectionReset => None,
        other => other.map_err(ConnectError::Codec)?,
    };
    let welcome = match received {
        Some((ToServer::Welcome(welcome), _)) => *welcome,
        Some((ToServer::Unable(unable), _)) => return Err(ConnectError::Unable(unable)),
        Some(_) => return Err(ConnectError::OutOfTurn),
        None => return Err(ConnectError::Ended),
    };
    sent.map_err(ConnectError::Codec)?;
    if welcome.version != version {
        return Err(ConnectError::Version { ours: version, theirs: welcome.version });
    }
    if welcome.policy_digest != policy_digest {
        let (ours, theirs) = (policy_digest.to_owned(), welcome.policy_digest);
        return Err(ConnectError::Policy { ours, theirs });
    }
    Ok(welcome)
}

/// A run under way: what the kernel said about it, and where its output and its end arrive.
#[derive(Debug)]
pub(super) struct LiveRun {
    pub(super) started: Started,
    pub(super) stdout: pipe::Receiver,
    pub(super) stderr: pipe::Receiver,
    pub(super) result: pipe::Receiver,
    /// An error here means that the supervisor is gone.
    pub(super) ended: oneshot::Receiver<Ended>,
    pub(super) wanted: Wanted,
}

/// Ends the run when it is dropped before the end was heard: its caller has left, perhaps while
/// the run was still on its way to him.
#[derive(Debug)]
pub(super) struct Wanted {
    supervisor: SupervisorClient,
    run_id: Option<String>,
}

impl Wanted {
    /// The run has ended by itself.
    pub(super) fn ended(mut self) {
        self.run_id = None;
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        if let Some(run_id) = &self.run_id {
            self.supervisor.cancel(run_id, CancelReason::Client);
        }
    }
}

/// Handle to the connection; clones share it.
#[derive(Debug, Clone)]
pub(super) struct SupervisorClient {
    shared: Arc<Shared>,
    outbox: mpsc::UnboundedSender<ToSupervisor>,
}

type Answer = Result<LiveRun, Refusal>;

#[derive(Debug)]
struct Shared {
    /// A `SOCK_SEQPACKET` really. tokio has no type for it, and asks nothing of a datagram socket
    /// but to be told when it is ready; all reads and writes are `wire`'s.
    socket: UnixDatagram,
    expected: Mutex<Expected>,
    gone: CancellationToken,
}

/// What the supervisor still owes us. Dropping a sender tells the waiter that it never comes.
#[derive(Debug, Default)]
struct Expected {
    next_request: u64,
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    ends: HashMap<String, oneshot::Sender<Ended>>,
    probes: VecDeque<oneshot::Sender<ProbeReport>>,
}

/// The connection ended; there will be no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

impl SupervisorClient {
    /// Takes over a socket on which [`connect`] has succeeded. Must be called within the runtime.
    pub(super) fn start(socket: OwnedFd) -> io::Result<Self> {
        let socket = StdSocket::from(socket);
        socket.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            socket: UnixDatagram::from_std(socket)?,
            expected: Mutex::default(),
            gone: CancellationToken::new(),
        });
        // Unbounded here, bounded by admission: one `run` a slot, one `cancel` a run, one probe.
        let (outbox, messages) = mpsc::unbounded_channel();
        tokio::spawn(Arc::clone(&shared).write_all(messages));
        let client = Self { shared, outbox };
        tokio::spawn(client.clone().read_all());
        Ok(client)
    }

    /// Asks for a run and waits until it is under way or refused.
    pub(super) async fn run(&self, mut request: RunRequest) -> Result<Answer, Gone> {
        let (sender, answer) = oneshot::channel();
        self.with_expected(|expected| {
            expected.next_request += 1;
            request.request = expected.next_request;
            expected.answers.insert(request.request, sender);
        });
        self.send(ToSupervisor::Run(request));
        self.unless_gone(answer).await
    }

    /// Ends a run early; harmless when it has ended.
    pub(super) fn cancel(&self, run_id: &str, why: CancelReason) {
        self.send(ToSupervisor::Cancel { run_id: run_id.to_owned(), why });
    }

    /// Has the supervisor confine a run that tries walls and limits; a `quiet` one leaves no line in the
    /// kernel's log.
    pub(super) async fn probe(&self, quiet: bool) -> Result<ProbeReport, Gone> {
        let (sender, answer) = oneshot::channel();
        self.with_expected(|expected| expected.probes.push_back(sender));
        self.send(ToSupervisor::Probe { quiet });
        self.unless_gone(answer).await
    }

    /// Cancelled when the supervisor is gone.
    pub(super) fn gone(&self) -> &CancellationToken {
        &self.shared.gone
    }

    /// Says goodbye and waits until the supervisor has emptied every sandbox and left.
    pub(super) async fn close(&self) {
        if self.shared.socket.shutdown(Shutdown::Write).is_ok() {
            self.shared.gone.cancelled().await;
        }
    }

    fn send(&self, message: ToSupervisor) {
        if self.outbox.send(message).is_err() {
            self.shared.fail();
        }
    }

    async fn unless_gone<T>(&self, answer: oneshot::Receiver<T>) -> Result<T, Gone> {
        // A waiter registered after the connection failed would wait for ever.
        tokio::select! {
            biased;
            answer = answer => answer.map_err(|_| Gone),
            () = self.shared.gone.cancelled() => Err(Gone),
        }
    }

    fn with_expected<T>(&self, change: impl FnOnce(&mut Expected) -> T) -> T {
        change(&mut self.shared.expected.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn read_all(self) {
        loop {
            let received = self
                .shared
                .socket
                .async_io(Interest::READABLE, || {
                    match wire::receive::<ToServer>(&self.shared.socket) {
                        Err(CodecError::Socket(source)) => Err(source),
                        other => Ok(other),
                    }
                })
                .await;
            let outcome = match received {
                Ok(Ok(Some((message, descriptors)))) => self.deliver(message, descriptors),
                Ok(Ok(None)) => Err("it closed the connection".to_owned()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(reason) = outcome {
                tracing::debug!(reason, "the connection to the supervisor has ended");
                self.shared.fail();
                return;
            }
        }
    }

    fn deliver(&self, message: ToServer, descriptors: Vec<OwnedFd>) -> Result<(), String> {
        match message {
            ToServer::Started(started) => return self.deliver_started(started, descriptors),
            ToServer::Refused { request, refusal } => {
                let waiter = self.with_expected(|expected| expected.answers.remove(&request));
                let waiter = waiter.ok_or("it refused a request that nobody made")?;
                // The caller may have left meanwhile; a refusal needs no undoing.
                drop(waiter.send(Err(refusal)));
            }
            ToServer::Ended(ended) => {
                let waiter = self.with_expected(|expected| expected.ends.remove(&ended.run_id));
                let waiter = waiter.ok_or("it ended a run that was not under way")?;
                drop(waiter.send(*ended));
            }
            ToServer::Probed(report) => {
                let waiter = self.with_expected(|expected| expected.probes.pop_front());
                drop(waiter.ok_or("it answered a probe that nobody sent")?.send(*report));
            }
            ToServer::Welcome(_) | ToServer::Unable(_) => {
                return Err("it sent a greeting out of turn".to_owned());
            }
        }
        if descriptors.is_empty() { Ok(()) } else { Err("it sent stray descriptors".to_owned()) }
    }

    fn deliver_started(&self, started: Started, descriptors: Vec<OwnedFd>) -> Result<(), String> {
        let descriptors = <[OwnedFd; 3]>::try_from(descriptors)
            .map_err(|_| "it sent another number of pipes than three")?;
        match open(descriptors) {
            Ok(pipes) => self.hand_over(started, Ok(pipes)),
            Err(error) if is_scarcity(&error) => {
                let message = format!("the server cannot wait for the output of a run: {error}");
                self.hand_over(started, Err(Refusal::SandboxFailed { message }))
            }
            Err(error) => Err(format!("a pipe of it cannot be read: {error}")),
        }
    }

    /// Gives the run to its waiter; without pipes the run is ended, and the waiter told why.
    fn hand_over(&self, started: Started, pipes: Result<Pipes, Refusal>) -> Result<(), String> {
        let (sender, ended) = oneshot::channel();
        let run_id = started.run_id.clone();
        let waiter = self.with_expected(|expected| {
            let waiter = expected.answers.remove(&started.request);
            expected.ends.insert(run_id.clone(), sender);
            waiter
        });
        let waiter = waiter.ok_or("it started a run that nobody asked for")?;
        let wanted = Wanted { supervisor: self.clone(), run_id: Some(run_id) };
        let answer = pipes.map(|[stdout, stderr, result]| LiveRun {
            started,
            stdout,
            stderr,
            result,
            ended,
            wanted,
        });
        // What nobody takes is ended by `wanted`: without pipes, or without a caller.
        drop(waiter.send(answer));
        Ok(())
    }
}

type Pipes = [pipe::Receiver; 3];

/// Refuses what cannot be waited for, and makes it non-blocking. That it is a pipe the supervisor
/// says; looking would be a `stat`, which the filter denies.
fn open(descriptors: [OwnedFd; 3]) -> io::Result<Pipes> {
    let [stdout, stderr, result] = descriptors.map(pipe::Receiver::from_owned_fd_unchecked);
    Ok([stdout?, stderr?, result?])
}

/// The kernel has no room for one more: what is watched is counted by user (`max_user_watches`), so
/// another program of this user can have used it up. That must not end the runs of others.
fn is_scarcity(error: &io::Error) -> bool {
    const SCARCE: [i32; 4] = [libc::ENOSPC, libc::EMFILE, libc::ENFILE, libc::ENOMEM];
    error.raw_os_error().is_some_and(|errno| SCARCE.contains(&errno))
}

impl Shared {
    async fn write_all(self: Arc<Self>, mut messages: mpsc::UnboundedReceiver<ToSupervisor>) {
        while let Some(message) = messages.recv().await {
            let sent = self
                .socket
                .async_io(Interest::WRITABLE, || match wire::send(&self.socket, &message, &[]) {
                    Err(CodecError::Socket(source)) => Err(source),
                    other => Ok(other),
                })
                .await;
            if !matches!(sent, Ok(Ok(()))) {
                tracing::error!("cannot send to the supervisor");
                self.fail();
                return;
            }
        }
    }

    fn fail(&self) {
        *self.expected.lock().unwrap_or_else(PoisonError::into_inner) = Expected::default();
        self.gone.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{LimitsInForce, Usage, Verdict};

    fn limits() -> LimitsInForce {
        LimitsInForce {
            hard: true,
            wall_ms: 1,
            memory_bytes: None,
            pids: None,
            cpu_millicores: None,
            disk_bytes: 1,
            disk_inodes: 1,
            open_files: 1,
        }
    }

    fn ended() -> Ended {
        Ended {
            request: 7,
            run_id: "r7".to_owned(),
            verdict: Verdict::Cancelled,
            exit_code: None,
            signal: None,
            usage: Usage::default(),
            pids_refused: 0,
            failed_step: None,
        }
    }

    #[tokio::test]
    async fn a_run_whose_pipes_cannot_be_watched_fails_alone_and_is_ended() {
        let (ours, theirs) = crate::sys::socket::pair().unwrap();
        let client = SupervisorClient::start(ours).unwrap();
        let (sender, answer) = oneshot::channel();
        client.with_expected(|expected| expected.answers.insert(7, sender));
        let started = Started { request: 7, run_id: "r7".to_owned(), limits: limits() };
        let refusal = Refusal::SandboxFailed { message: "no room".to_owned() };
        client.hand_over(started, Err(refusal.clone())).unwrap();
        assert_eq!(answer.await.unwrap().unwrap_err(), refusal);
        let said = tokio::task::spawn_blocking(move || {
            (wire::receive::<ToSupervisor>(&theirs).unwrap().unwrap().0, theirs)
        });
        let (said, _theirs) = said.await.unwrap();
        let why = CancelReason::Client;
        assert_eq!(said, ToSupervisor::Cancel { run_id: "r7".to_owned(), why });
        client.deliver(ToServer::Ended(Box::new(ended())), Vec::new()).unwrap();
        assert!(!client.gone().is_cancelled());
    }

    #[tokio::test]
    async fn a_run_whose_caller_leaves_while_it_is_on_its_way_to_him_is_ended() {
        let (ours, theirs) = crate::sys::socket::pair().unwrap();
        let client = SupervisorClient::start(ours).unwrap();
        for leaves_first in [false, true] {
            let (sender, answer) = oneshot::channel();
            client.with_expected(|expected| expected.answers.insert(7, sender));
            let answer = (!leaves_first).then_some(answer);
            let started = Started { request: 7, run_id: "r7".to_owned(), limits: limits() };
            let pipes = [(); 3].map(|()| pipe::pipe().unwrap().1);
            client.hand_over(started, Ok(pipes)).unwrap();
            drop(answer);
            let theirs = theirs.try_clone().unwrap();
            let said = tokio::task::spawn_blocking(move || wire::receive(&theirs));
            let said: Option<(ToSupervisor, _)> = said.await.unwrap().unwrap();
            let why = CancelReason::Client;
            assert_eq!(said.unwrap().0, ToSupervisor::Cancel { run_id: "r7".to_owned(), why });
        }
    }

    #[tokio::test]
    async fn what_is_no_pipe_is_a_fault_of_the_supervisor_and_no_scarcity() {
        let file = || OwnedFd::from(std::fs::File::open("/etc/passwd").unwrap());
        let error = open([file(), file(), file()]).unwrap_err();
        assert!(!is_scarcity(&error), "{error}");
        assert!(is_scarcity(&io::Error::from_raw_os_error(libc::ENOSPC)));
    }
}
