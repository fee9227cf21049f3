//! Output on its way to whoever watches. Bounded: when the watcher is slow the oldest bytes are
//! dropped, and the offsets show the gap. The run never waits here.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::output::Stream;

/// Shared by the run, which pushes, and one watcher, which takes.
#[derive(Debug, Clone, Default)]
pub(super) struct LiveOutput(Option<Arc<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    pieces: VecDeque<Piece>,
    bytes: usize,
    closed: bool,
}

/// Consecutive bytes of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) stream: Stream,
    /// Of the first byte in the stream.
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

/// Room for a few seconds of a fast writer and a slow reader.
const MOST_PENDING: usize = 8 * 1024 * 1024;

/// A writer of single bytes costs more in pieces than in bytes.
const MOST_PIECES: usize = 32 * 1024;

/// Largest piece, hence largest progress message.
const MOST_PIECE: usize = 64 * 1024;

impl LiveOutput {
    /// For a watcher.
    pub(super) fn watched() -> Self {
        Self(Some(Arc::default()))
    }

    /// For nobody: what is pushed vanishes.
    pub(super) fn unwatched() -> Self {
        Self(None)
    }

    pub(super) fn push(&self, stream: Stream, offset: u64, bytes: &[u8]) {
        let Some(shared) = &self.0 else { return };
        if bytes.is_empty() {
            return;
        }
        {
            let mut pending = shared.lock();
            pending.append(stream, offset, bytes);
            while pending.bytes > MOST_PENDING || pending.pieces.len() > MOST_PIECES {
                let dropped = pending.pieces.pop_front().map_or(0, |piece| piece.bytes.len());
                pending.bytes -= dropped;
            }
        }
        shared.changed.notify_one();
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        if let Some(shared) = &self.0 {
            shared.lock().closed = true;
            shared.changed.notify_one();
        }
    }

    /// The next piece, or `None` when closed and empty.
    pub(super) async fn next(&self) -> Option<Piece> {
        let shared = self.0.as_ref()?;
        loop {
            {
                let mut pending = shared.lock();
                if let Some(piece) = pending.pieces.pop_front() {
                    pending.bytes -= piece.bytes.len();
                    return Some(piece);
                }
                if pending.closed {
                    return None;
                }
            }
            shared.changed.notified().await;
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn append(&mut self, stream: Stream, offset: u64, bytes: &[u8]) {
        self.bytes += bytes.len();
        if let Some(last) = self.pieces.back_mut()
            && last.stream == stream
            && last.bytes.len() + bytes.len() <= MOST_PIECE
        {
            last.bytes.extend_from_slice(bytes);
            return;
        }
        self.pieces.push_back(Piece { stream, offset, bytes: bytes.to_vec() });
    }
}

/// Turns pieces into text without splitting a character: what a piece leaves unfinished is held
/// back for the next one of its stream.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    held: [Held; 2],
}

#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    next_offset: u64,
}

/// Text with the offset of its first byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) stream: Stream,
    pub(super) offset: u64,
    pub(super) string: String,
}

impl Decoder {
    /// At most one text; none when the piece only began a character.
    pub(super) fn decode(&mut self, piece: &Piece) -> Option<Text> {
        let held = self.held_of(piece.stream);
        let mut bytes = std::mem::take(&mut held.bytes);
        let contiguous = held.next_offset == piece.offset;
        held.next_offset = piece.offset + u64::try_from(piece.bytes.len()).unwrap_or(u64::MAX);
        if !contiguous {
            // The rest of the held character was dropped, and the gap is visible in the offsets.
            bytes.clear();
        }
        let offset = piece.offset - u64::try_from(bytes.len()).unwrap_or(0);
        bytes.extend_from_slice(&piece.bytes);
        let unfinished = unfinished_length(&bytes);
        held.bytes = bytes.split_off(bytes.len() - unfinished);
        let string = String::from_utf8_lossy(&bytes).into_owned();
        (!string.is_empty()).then_some(Text { stream: piece.stream, offset, string })
    }

    /// What is still held at the end; it never became a character.
    pub(super) fn finish(&mut self) -> Vec<Text> {
        [Stream::Stdout, Stream::Stderr]
            .into_iter()
            .filter_map(|stream| {
                let held = self.held_of(stream);
                let bytes = std::mem::take(&mut held.bytes);
                let offset = held.next_offset - u64::try_from(bytes.len()).unwrap_or(0);
                let string = String::from_utf8_lossy(&bytes).into_owned();
                (!string.is_empty()).then_some(Text { stream, offset, string })
            })
            .collect()
    }

    fn held_of(&mut self, stream: Stream) -> &mut Held {
        let [stdout, stderr] = &mut self.held;
        match stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        }
    }
}

/// Length of a character that begins at the end of `bytes` and is not whole; at most three bytes.
fn unfinished_length(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(3))
        .find(|&length| {
            let (_, end) = bytes.split_at(bytes.len() - length);
            std::str::from_utf8(end)
                .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(offset: u64, bytes: &[u8]) -> Piece {
        Piece { stream: Stream::Stdout, offset, bytes: bytes.to_vec() }
    }

    #[test]
    fn a_character_split_over_two_pieces_arrives_whole() {
        let mut decoder = Decoder::default();
        let euro = "€".as_bytes();
        assert_eq!(decoder.decode(&piece(0, &euro[..2])), None);
        let text = decoder.decode(&piece(2, &euro[2..])).unwrap();
        assert_eq!((text.offset, text.string.as_str()), (0, "€"));
    }

    #[test]
    fn an_unfinished_character_at_the_end_is_replaced() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(&piece(0, b"a\xe2\x82")).unwrap().string, "a");
        assert_eq!(
            decoder.finish(),
            [Text { stream: Stream::Stdout, offset: 1, string: "\u{fffd}".to_owned() }]
        );
    }

    #[tokio::test]
    async fn a_watcher_that_sleeps_loses_the_oldest_bytes_and_sees_the_gap() {
        let live = LiveOutput::watched();
        let chunk = vec![b'x'; MOST_PIECE];
        let chunks = MOST_PENDING / MOST_PIECE + 3;
        for number in 0..chunks {
            live.push(Stream::Stdout, u64::try_from(number * MOST_PIECE).unwrap(), &chunk);
        }
        let first = live.next().await.unwrap();
        assert_eq!(first.offset, u64::try_from(3 * MOST_PIECE).unwrap());
    }
}
