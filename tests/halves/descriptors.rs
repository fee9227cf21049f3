//! Descriptors across the socket: none is taken from the server, and those handed to it are the
//! reading ends of three pipes.
#![forbid(unsafe_code)]

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use primcs::wire::{ToServer, ToSupervisor};

use super::fake_server::{FakeServer, hello};
use super::support::processes::assert_gone;

fn opened(path: &str, flags: OFlag) -> OwnedFd {
    open(path, flags | OFlag::O_CLOEXEC, Mode::empty()).expect("opening")
}

/// Passes these beside an otherwise true message.
#[track_caller]
fn refused(message: &ToSupervisor, descriptors: &[BorrowedFd<'_>]) {
    let (mut fake, _) = FakeServer::greeted(&[]);
    let (_, _pipes, processes) = fake.long_run();
    let bytes = serde_json::to_vec(message).expect("JSON");
    fake.send_raw(&bytes, descriptors);
    assert_gone(&processes, Duration::from_secs(1));
    fake.assert_ends();
}

fn run() -> ToSupervisor {
    ToSupervisor::Run(primcs::wire::RunRequest {
        request: 77,
        principal: "local".to_owned(),
        code: "print(1)".to_owned(),
        timeout_ms: None,
    })
}

/// proves: always supervisor
#[test]
fn an_o_path_of_a_root_file_is_refused() {
    refused(&run(), &[opened("/etc/shadow", OFlag::O_PATH).as_fd()]);
}

#[test]
fn an_o_path_of_the_root_is_refused() {
    refused(&run(), &[opened("/", OFlag::O_PATH | OFlag::O_DIRECTORY).as_fd()]);
}

#[test]
fn a_directory_is_refused() {
    refused(&run(), &[opened("/", OFlag::O_RDONLY | OFlag::O_DIRECTORY).as_fd()]);
}

#[test]
fn a_writable_file_is_refused() {
    refused(&run(), &[opened("/dev/null", OFlag::O_RDWR).as_fd()]);
}

#[test]
fn a_pipe_and_a_socket_are_refused() {
    let (read, write) = nix::unistd::pipe().expect("a pipe");
    refused(&run(), &[read.as_fd()]);
    refused(&run(), &[write.as_fd()]);
    let (one, other) = primcs::sys::socket::pair().expect("a socket pair");
    refused(&run(), &[one.as_fd(), other.as_fd()]);
}

/// proves: always supervisor
#[test]
fn descriptors_beside_other_messages_are_refused() {
    let file = File::open("/dev/null").expect("/dev/null");
    refused(&ToSupervisor::Probe { quiet: false }, &[file.as_fd()]);
    let mut fake = FakeServer::start(&[]);
    fake.send_raw(&serde_json::to_vec(&hello()).expect("JSON"), &[file.as_fd()]);
    fake.assert_ends();
}

#[test]
fn more_descriptors_than_a_message_may_have_are_refused() {
    let file = File::open("/dev/null").expect("/dev/null");
    refused(&run(), &[file.as_fd(); 5]);
    refused(&run(), &[file.as_fd(); 253]);
}

#[test]
fn the_server_gets_reading_ends_of_three_pipes_and_nothing_else() {
    let (mut fake, _) = FakeServer::greeted(&[]);
    let (_, pipes, _) = fake.long_run();
    assert_eq!(pipes.len(), 3);
    for pipe in &pipes {
        let target =
            std::fs::read_link(format!("/proc/self/fd/{}", pipe.as_raw_fd())).expect("a link");
        assert!(target.to_string_lossy().starts_with("pipe:"), "{target:?}");
        let flags = OFlag::from_bits_retain(fcntl(pipe, FcntlArg::F_GETFL).expect("flags"));
        assert_eq!(flags & OFlag::O_ACCMODE, OFlag::O_RDONLY, "{flags:?}");
        assert!(flags.contains(OFlag::O_NONBLOCK), "{flags:?}");
    }
    // Nothing comes with any other message.
    let request = fake.request("print(1)");
    fake.send(&request);
    loop {
        match fake.receive().expect("an answer") {
            (ToServer::Started(_), pipes) => assert_eq!(pipes.len(), 3),
            (ToServer::Ended(_), with) => {
                assert!(with.is_empty());
                break;
            }
            (other, _) => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_supervisor_holds_no_socket_that_anybody_could_connect_to() {
    let (fake, _) = FakeServer::greeted(&[]);
    let held: Vec<_> = std::fs::read_dir(format!("/proc/{}/fd", fake.pid()))
        .expect("descriptors")
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter_map(|target| {
            let target = target.to_string_lossy().into_owned();
            target.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned)
        })
        .collect();
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "netlink", "packet"] {
        let path = format!("/proc/{}/net/{table}", fake.pid());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for inode in &held {
            let found = text.lines().any(|line| line.split_whitespace().any(|word| word == inode));
            assert!(!found, "a {table} socket");
        }
    }
    let unix = std::fs::read_to_string(format!("/proc/{}/net/unix", fake.pid())).expect("unix");
    for line in unix.lines().filter(|line| {
        line.split_whitespace().nth(6).is_some_and(|inode| held.iter().any(|one| one == inode))
    }) {
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words.len(), 7, "a socket with a name: {line}");
        assert_eq!(words[3], "00000000", "a listening socket: {line}");
    }
}
