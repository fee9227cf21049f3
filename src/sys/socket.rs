//! `SOCK_SEQPACKET` pairs: whole packets, with descriptors and the sender's kernel-verified pid.
#![expect(unsafe_code, reason = "received descriptor numbers become owned descriptors")]

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    UnixCredentials, recvmsg, send, sendmsg, setsockopt, socketpair, sockopt,
};

/// The kernel passes at most this many descriptors beside one packet (`SCM_MAX_FD`). With room for
/// all of them a control message is never cut short, so none can leak.
const SCM_MAX_FD: usize = 253;

/// One received packet.
#[derive(Debug)]
pub struct Packet {
    /// What was sent; empty when the other side has closed.
    pub bytes: Vec<u8>,
    /// Close-on-exec, in the order sent.
    pub descriptors: Vec<OwnedFd>,
    /// The sender's pid in our pid namespace, where `SO_PASSCRED` is set.
    pub sender_pid: Option<i32>,
    /// True when the packet or its descriptors were larger than the caller allows.
    pub truncated: bool,
}

/// A connected pair, both close-on-exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Makes the kernel add the sender's credentials to every packet received here.
pub fn receive_credentials(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(setsockopt(&socket, sockopt::PassCred, &true)?)
}

/// Sends one packet without raising `SIGPIPE`.
pub fn send_packet(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let raw: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let (socket, quietly) = (socket.as_raw_fd(), MsgFlags::MSG_NOSIGNAL);
    let sent = loop {
        // The server's filter has no sendmsg, which could also name another receiver.
        let sent = if raw.is_empty() {
            send(socket, bytes, quietly)
        } else {
            let rights = [ControlMessage::ScmRights(&raw)];
            sendmsg::<()>(socket, &[IoSlice::new(bytes)], &rights, quietly, None)
        };
        match sent {
            Err(nix::errno::Errno::EINTR) => {}
            other => break other?,
        }
    };
    if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives one packet of at most `max_bytes` with at most `max_descriptors`; what is over these
/// bounds is dropped and reported as `truncated`.
pub fn receive_packet(
    socket: BorrowedFd<'_>,
    max_bytes: usize,
    max_descriptors: usize,
) -> io::Result<Packet> {
    let mut bytes = vec![0u8; max_bytes];
    let mut control = nix::cmsg_space!([i32; SCM_MAX_FD], UnixCredentials);
    let mut packet =
        Packet { bytes: Vec::new(), descriptors: Vec::new(), sender_pid: None, truncated: false };
    let received = {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let message = loop {
            match recvmsg::<()>(
                socket.as_raw_fd(),
                &mut slices,
                Some(&mut control),
                MsgFlags::MSG_CMSG_CLOEXEC,
            ) {
                Err(nix::errno::Errno::EINTR) => {}
                other => break other?,
            }
        };
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(numbers) = control {
                for number in numbers {
                    // SAFETY: the kernel has just installed this number for us and nobody else owns it.
                    packet.descriptors.push(unsafe { OwnedFd::from_raw_fd(number) });
                }
            } else if let ControlMessageOwned::ScmCredentials(sender) = control {
                packet.sender_pid = Some(sender.pid());
            } else {
                packet.truncated = true;
            }
        }
        packet.truncated |= message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
        message.bytes
    };
    packet.truncated |= packet.descriptors.len() > max_descriptors;
    bytes.truncate(received);
    packet.bytes = bytes;
    Ok(packet)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_packet_over_the_bound_is_reported_and_its_descriptors_are_closed() {
        let (left, right) = pair().unwrap();
        send_packet(left.as_fd(), &[7; 100], &[left.as_fd(), left.as_fd()]).unwrap();
        let packet = receive_packet(right.as_fd(), 10, 1).unwrap();
        assert!(packet.truncated);
        assert_eq!(packet.bytes.len(), 10);
    }

    #[test]
    fn the_kernel_names_the_sender() {
        let (left, right) = pair().unwrap();
        receive_credentials(right.as_fd()).unwrap();
        send_packet(left.as_fd(), b"x", &[]).unwrap();
        let packet = receive_packet(right.as_fd(), 10, 0).unwrap();
        assert_eq!(packet.sender_pid, Some(i32::try_from(std::process::id()).unwrap()));
    }
}
