//! Packets between the halves, in both directions, through a real socket with descriptors beside
//! them. Whatever arrives is a message, an error or the end, never a panic; no descriptor stays open;
//! a message that was understood is understood the same after it was sent again.
#![no_main]

use std::fmt::Debug;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libfuzzer_sys::fuzz_target;
use primcs::sys::socket;
use primcs::wire::codec::{MAX_DESCRIPTORS, MAX_MESSAGE};
use primcs::wire::{self, CodecError, ToServer, ToSupervisor};
use serde_json::to_vec;

fuzz_target!(|input: &[u8]| {
    let [head, packet @ ..] = input else { return };
    let descriptors = usize::from(head >> 1) % 8;
    if head & 1 == 0 {
        receives::<ToSupervisor>(packet, descriptors);
    } else {
        receives::<ToServer>(packet, descriptors);
    }
});

fn receives<T>(packet: &[u8], descriptors: usize)
where
    T: serde_json_message::Message + PartialEq + Debug,
{
    let Ok((left, right)) = socket::pair() else { return };
    let null = File::open("/dev/null").expect("/dev/null");
    let beside: Vec<BorrowedFd<'_>> = (0..descriptors).map(|_| null.as_fd()).collect();
    if socket::send_packet(left.as_fd(), packet, &beside).is_err() {
        // More than a socket takes; the kernel has refused it.
        return;
    }
    drop(beside);
    let (message, received): (T, Vec<OwnedFd>) = match wire::receive(&right) {
        Ok(Some(received)) => received,
        Ok(None) => return assert!(packet.is_empty(), "a packet was taken for the end"),
        Err(CodecError::TooLarge) => {
            return assert!(packet.len() > MAX_MESSAGE || descriptors > MAX_DESCRIPTORS);
        }
        Err(CodecError::Malformed(_)) => return,
        Err(CodecError::Socket(error)) => panic!("the socket failed: {error}"),
    };
    assert!(packet.len() <= MAX_MESSAGE && received.len() == descriptors);
    let again = to_vec(&message).expect("a message can be written");
    match wire::send(&left, &message, &[]) {
        Ok(()) => {}
        // Fields that may be left out are written out, so it can have grown.
        Err(CodecError::TooLarge) => return assert!(again.len() > MAX_MESSAGE),
        Err(error) => panic!("cannot be sent again: {error}"),
    }
    let (second, none): (T, Vec<OwnedFd>) =
        wire::receive(&right).expect("is understood again").expect("is there");
    assert!(none.is_empty());
    assert_eq!(message, second);
}

/// The bounds of [`wire::send`] and [`wire::receive`] in one word.
mod serde_json_message {
    pub(crate) trait Message: serde::Serialize + serde::de::DeserializeOwned {}
    impl<T: serde::Serialize + serde::de::DeserializeOwned> Message for T {}
}
