//! What a run writes: head and tail are kept, everything is counted, and the reader never waits
//! for whoever wants to see it.
//!
//! Every byte here was chosen by the code of the run.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io;

use tokio::net::unix::pipe;

use super::live::LiveOutput;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Head and tail of everything written to one stream.
#[derive(Debug)]
pub(super) struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    most_head: usize,
    most_tail: usize,
    written: u64,
}

impl Kept {
    pub(super) fn new(most: usize) -> Self {
        let most_head = most / 2;
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            most_head,
            most_tail: most - most_head,
            written: 0,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.written += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let room = self.most_head - self.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        let (_, rest) = rest.split_at(rest.len().saturating_sub(self.most_tail));
        let surplus = (self.tail.len() + rest.len()).saturating_sub(self.most_tail);
        drop(self.tail.drain(..surplus));
        self.tail.extend(rest);
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn is_truncated(&self) -> bool {
        self.omitted() > 0
    }

    /// Valid UTF-8 whatever was written; a character cut by the gap goes with the gap.
    pub(super) fn text(&self) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        let omitted = self.omitted();
        if omitted == 0 {
            return String::from_utf8_lossy(&[self.head.as_slice(), &tail].concat()).into_owned();
        }
        let head = without_cut_end(&self.head);
        let tail = without_cut_start(&tail);
        format!(
            "{}\n[... {omitted} bytes left out ...]\n{}",
            String::from_utf8_lossy(head),
            String::from_utf8_lossy(tail)
        )
    }

    fn omitted(&self) -> u64 {
        let kept = u64::try_from(self.head.len() + self.tail.len()).unwrap_or(u64::MAX);
        self.written.saturating_sub(kept)
    }
}

fn without_cut_end(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.split_at(error.valid_up_to()).0,
        _ => bytes,
    }
}

fn without_cut_start(bytes: &[u8]) -> &[u8] {
    let continuation = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    bytes.split_at(continuation).1
}

/// The reading end of one stream.
#[derive(Debug)]
pub(super) struct Reader {
    pipe: pipe::Receiver,
    stream: Stream,
    open: bool,
    buffer: Box<[u8]>,
    pub(super) kept: Kept,
}

/// One read.
const CHUNK: usize = 32 * 1024;

/// Most that is still taken from a pipe after the program has ended: no pipe is larger for a
/// process without privilege, and a process that still writes cannot hold the answer up.
const MOST_LEFT_OVER: u64 = 1024 * 1024;

impl Reader {
    pub(super) fn new(pipe: pipe::Receiver, stream: Stream, most_kept: usize) -> Self {
        let buffer = vec![0; CHUNK].into_boxed_slice();
        Self { pipe, stream, open: true, buffer, kept: Kept::new(most_kept) }
    }

    /// Waits until something was written and takes it; never ready once the stream is closed.
    pub(super) async fn read(&mut self, live: &LiveOutput) -> io::Result<()> {
        if !self.open {
            return std::future::pending().await;
        }
        let taken = loop {
            self.pipe.readable().await?;
            match self.pipe.try_read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => break taken,
            }
        };
        // A pipe that cannot be read is done with; asking again would only spin.
        self.open = matches!(taken, Ok(1..));
        self.take(taken?, live);
        Ok(())
    }

    /// Takes what is left in the pipe. Reads without asking tokio whether it may: readiness that
    /// has not been delivered yet would lose the last bytes.
    pub(super) fn drain(&mut self, live: &LiveOutput) {
        let stop_at = self.kept.written() + MOST_LEFT_OVER;
        while self.open && self.kept.written() < stop_at {
            match read(&self.pipe, &mut self.buffer) {
                Ok(count @ 1..) => self.take(count, live),
                Ok(0) | Err(_) => self.open = false,
            }
        }
    }

    fn take(&mut self, count: usize, live: &LiveOutput) {
        let (bytes, _) = self.buffer.split_at(count);
        live.push(self.stream, self.kept.written(), bytes);
        self.kept.push(bytes);
    }
}

fn read(pipe: &pipe::Receiver, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match nix::unistd::read(pipe, buffer) {
            Err(nix::errno::Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(most: usize, pieces: &[&[u8]]) -> Kept {
        let mut kept = Kept::new(most);
        for piece in pieces {
            kept.push(piece);
        }
        kept
    }

    #[test]
    fn what_fits_is_kept_whole_however_it_arrived() {
        let kept = kept(8, &[b"ab", b"cdef", b"gh"]);
        assert_eq!((kept.text().as_str(), kept.is_truncated()), ("abcdefgh", false));
    }

    #[test]
    fn beyond_that_head_and_tail_stay_and_everything_is_counted() {
        let kept = kept(4, &[b"abcdef", b"ghi"]);
        assert_eq!(kept.text(), "ab\n[... 5 bytes left out ...]\nhi");
        assert_eq!((kept.written(), kept.is_truncated()), (9, true));
    }

    #[test]
    fn a_character_cut_by_the_gap_does_not_appear_in_halves() {
        let kept = kept(6, &["aäöüß€€€€".as_bytes()]);
        assert!(!kept.text().contains('\u{fffd}'), "{}", kept.text());
    }

    #[test]
    fn invalid_bytes_are_replaced() {
        assert_eq!(kept(10, &[b"a\xffb"]).text(), "a\u{fffd}b");
    }
}
