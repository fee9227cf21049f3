//! Output of a run on somebody's terminal: text, newline, tab and colour, nothing that moves the
//! cursor, renames the window or answers as if the user had typed.
#![forbid(unsafe_code)]

/// Keeps its place between pieces, since an escape sequence may be cut anywhere.
#[derive(Debug, Default)]
pub(super) struct TerminalFilter {
    state: State,
    /// Parameters of the sequence under way.
    sequence: String,
    /// Whether they can still be those of a colour.
    colour: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC [.
    Control,
    /// After ESC ], P, X, ^ or _: a string up to BEL or ESC \.
    Quoted,
}

/// Colour needs a dozen characters.
const LONGEST_SEQUENCE: usize = 32;

impl TerminalFilter {
    pub(super) fn pass(&mut self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        for character in text.chars() {
            self.step(character, &mut shown);
        }
        shown
    }

    fn step(&mut self, character: char, shown: &mut String) {
        match self.state {
            State::Text => match character {
                '\x1b' => self.state = State::Escape,
                '\n' | '\t' => shown.push(character),
                // C1 controls too: U+009B alone begins a sequence on many terminals.
                control if control.is_control() => {}
                // Reverses the order of what follows, hence what a command seems to be.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
                other => shown.push(other),
            },
            State::Escape => {
                self.sequence.clear();
                self.colour = true;
                self.state = match character {
                    '[' => State::Control,
                    ']' | 'P' | 'X' | '^' | '_' => State::Quoted,
                    _ => State::Text,
                };
            }
            State::Control => self.control(character, shown),
            State::Quoted => match character {
                '\x07' => self.state = State::Text,
                '\x1b' => self.state = State::Escape,
                _ => {}
            },
        }
    }

    fn control(&mut self, character: char, shown: &mut String) {
        match character {
            '0'..='9' | ';' | ':' if self.sequence.len() < LONGEST_SEQUENCE => {
                self.sequence.push(character);
            }
            // Another parameter, or too many: swallow the sequence up to its final character.
            ' '..='?' => self.colour = false,
            final_character => {
                if final_character == 'm' && self.colour {
                    shown.push_str("\x1b[");
                    shown.push_str(&self.sequence);
                    shown.push('m');
                }
                self.state = State::Text;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[&str]) -> String {
        let mut filter = TerminalFilter::default();
        pieces.iter().map(|piece| filter.pass(piece)).collect()
    }

    #[test]
    fn text_newline_tab_and_colour_pass() {
        assert_eq!(shown(&["a\tb\n\x1b[1;31mred\x1b[0m ü"]), "a\tb\n\x1b[1;31mred\x1b[0m ü");
    }

    #[test]
    fn everything_that_acts_on_the_terminal_is_swallowed_even_in_pieces() {
        for attack in [
            "\x1b]0;title\x07",
            "\x1b[2J",
            "\x1b[6n",
            "\x1bc",
            "\u{9b}2J",
            "\r",
            "\x08",
            "\x1b[?1m",
        ] {
            let shown = shown(&["x", attack, "y"]);
            assert!(!shown.contains(|c: char| c.is_control()), "{attack:?} -> {shown:?}");
        }
        assert_eq!(shown(&["x\x1b", "[2", "Jy"]), "xy");
    }
}
