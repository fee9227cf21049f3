//! What a program prints, on its way to somebody's terminal, cut anywhere: text, newline, tab and
//! colour come through and nothing that moves the cursor or answers for the user; where it is cut makes
//! no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use primcs::server::fuzzing::on_a_terminal;

fuzz_target!(|input: &[u8]| {
    let [cut, rest @ ..] = input else { return };
    let text = String::from_utf8_lossy(rest);
    let whole = on_a_terminal(&[&text]);
    let at = text.floor_char_boundary(usize::from(*cut) % (text.len() + 1));
    let (head, tail) = text.split_at(at);
    assert_eq!(on_a_terminal(&[head, tail]), whole, "cut at {at}");
    let single: Vec<String> = text.chars().map(String::from).collect();
    let single: Vec<&str> = single.iter().map(String::as_str).collect();
    assert_eq!(on_a_terminal(&single), whole, "cut everywhere");
    harmless(&whole);
});

fn harmless(text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(|letter: char| letter.is_control() && !"\n\t".contains(letter)) {
        let (_, from) = rest.split_at(at);
        let after = from.strip_prefix("\x1b[").unwrap_or_else(|| panic!("{from:?} came through"));
        let end = after
            .find(|letter: char| !letter.is_ascii_digit() && !";:".contains(letter))
            .unwrap_or(after.len());
        let (_, letter) = after.split_at(end);
        rest = letter.strip_prefix('m').unwrap_or_else(|| panic!("{from:?} is no colour"));
    }
}
