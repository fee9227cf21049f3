//! Our own words on a terminal. They quote files and paths that others may have written, so what
//! acts on a terminal is taken out. A reader that has gone (`primcs ... | head -1`) wanted no more of
//! them, so that is no failure.
#![forbid(unsafe_code)]

use std::io::{self, Write as _};

use super::terminal::TerminalFilter;

pub(super) fn print(text: &str) -> io::Result<()> {
    print_exactly(&harmless(text))
}

/// What a program reads; JSON has no raw control characters.
pub(super) fn print_exactly(text: &str) -> io::Result<()> {
    unless_reader_left(io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()))
}

/// Without what acts on a terminal. Each line by itself: a sequence that somebody left open must not
/// swallow what we say further on.
pub(super) fn harmless(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(|line| TerminalFilter::default().pass(line)).collect();
    lines.join("\n")
}

/// The same for whatever else was written.
pub(super) fn unless_reader_left(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn a_quoted_file_cannot_act_on_the_terminal_nor_hide_the_next_line() {
        let text = "x = \"\x1b]0;pwn\x07\"\nopen \x1b]0;never ended\nnext: mend it\r\n";
        assert_eq!(harmless(text), "x = \"\"\nopen \nnext: mend it\n");
    }
}
