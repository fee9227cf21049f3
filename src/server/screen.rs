//! Live output of a run on the stdout and stderr of `primcs run`, made harmless for a terminal.
#![forbid(unsafe_code)]

use std::io::{self, IsTerminal as _, Write as _};

use super::live::{Decoder, LiveOutput, Piece, Text};
use super::output::Stream;
use super::printed::unless_reader_left;
use super::terminal::TerminalFilter;

/// Where live output goes.
pub(super) struct Screen {
    stdout: Sink,
    stderr: Sink,
    decoder: Decoder,
    shown: [u64; 2],
    missing: u64,
}

/// Bytes as they are, or made harmless for a terminal.
enum Sink {
    Raw,
    Terminal(TerminalFilter),
}

impl Sink {
    fn new(raw: bool, terminal: bool) -> Self {
        if raw || !terminal { Self::Raw } else { Self::Terminal(TerminalFilter::default()) }
    }
}

impl Screen {
    pub(super) fn new(raw: bool) -> Self {
        Self {
            stdout: Sink::new(raw, io::stdout().is_terminal()),
            stderr: Sink::new(raw, io::stderr().is_terminal()),
            decoder: Decoder::default(),
            shown: [0; 2],
            missing: 0,
        }
    }

    /// Until the run is over. Fails when nobody reads stdout any more.
    pub(super) fn show_all(
        mut self,
        live: &LiveOutput,
        handle: &tokio::runtime::Handle,
    ) -> io::Result<()> {
        while let Some(piece) = handle.block_on(live.next()) {
            self.note_gap(&piece);
            self.show(&piece)?;
        }
        for text in self.decoder.finish() {
            self.show_text(&text)?;
        }
        if self.missing > 0 {
            unless_reader_left(writeln!(
                io::stderr(),
                "primcs: {} bytes came too fast and are not shown",
                self.missing
            ))?;
        }
        Ok(())
    }

    fn note_gap(&mut self, piece: &Piece) {
        let [stdout, stderr] = &mut self.shown;
        let shown = match piece.stream {
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        };
        self.missing += piece.offset.saturating_sub(*shown);
        *shown = piece.offset + u64::try_from(piece.bytes.len()).unwrap_or(u64::MAX);
    }

    fn show(&mut self, piece: &Piece) -> io::Result<()> {
        let sink = match piece.stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        if matches!(sink, Sink::Raw) {
            return write_to(piece.stream, &piece.bytes);
        }
        match self.decoder.decode(piece) {
            Some(text) => self.show_text(&text),
            None => Ok(()),
        }
    }

    fn show_text(&mut self, text: &Text) -> io::Result<()> {
        let sink = match text.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        match sink {
            Sink::Raw => write_to(text.stream, text.string.as_bytes()),
            Sink::Terminal(filter) => write_to(text.stream, filter.pass(&text.string).as_bytes()),
        }
    }
}

fn write_to(stream: Stream, bytes: &[u8]) -> io::Result<()> {
    match stream {
        Stream::Stdout => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
        // Whoever reads stdout may still want the rest of it.
        Stream::Stderr => unless_reader_left(io::stderr().write_all(bytes)),
    }
}
