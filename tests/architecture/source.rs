//! Just enough of Rust's grammar to say which paths a file names and how many lines of it are code.
//! Comments and literals never count; what it cannot follow it reports as a path of its own.

use std::iter::Peekable;
use std::slice::Iter;

/// What remains of a source once comments, literals and lifetimes are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    PathSeparator,
    Sign(char),
}

/// Splits a source into tokens, each with its line.
pub(crate) fn tokens(source: &str) -> Vec<(usize, Token)> {
    let bytes: Vec<char> = source.chars().collect();
    let (mut found, mut line, mut at) = (Vec::new(), 1, 0);
    while at < bytes.len() {
        let end = match bytes[at] {
            '/' if bytes.get(at + 1) == Some(&'/') => end_of_line(&bytes, at),
            '/' if bytes.get(at + 1) == Some(&'*') => end_of_comment(&bytes, at),
            '"' => end_of_string(&bytes, at),
            '\'' => end_of_quote(&bytes, at),
            letter if letter.is_alphabetic() || letter == '_' => {
                let end = (at..bytes.len())
                    .find(|&i| !bytes[i].is_alphanumeric() && bytes[i] != '_')
                    .unwrap_or(bytes.len());
                let word: String = bytes[at..end].iter().collect();
                raw_string_end(&bytes, &word, end).unwrap_or_else(|| {
                    found.push((line, Token::Word(word)));
                    end
                })
            }
            ':' if bytes.get(at + 1) == Some(&':') => {
                found.push((line, Token::PathSeparator));
                at + 2
            }
            sign => {
                if !sign.is_whitespace() {
                    found.push((line, Token::Sign(sign)));
                }
                at + 1
            }
        };
        line += bytes[at..end].iter().filter(|&&c| c == '\n').count();
        at = end;
    }
    found
}

fn end_of_line(text: &[char], from: usize) -> usize {
    (from..text.len()).find(|&i| text[i] == '\n').unwrap_or(text.len())
}

fn end_of_comment(text: &[char], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn end_of_string(text: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(text.len())
}

/// A character literal, or the tick of a lifetime.
fn end_of_quote(text: &[char], from: usize) -> usize {
    if text.get(from + 1) == Some(&'\\') {
        return (from + 3..text.len()).find(|&i| text[i] == '\'').map_or(text.len(), |i| i + 1);
    }
    if text.get(from + 2) == Some(&'\'') { from + 3 } else { from + 1 }
}

/// Where the raw string ends of which `word` is the prefix.
fn raw_string_end(text: &[char], word: &str, from: usize) -> Option<usize> {
    if !matches!(word, "r" | "br" | "cr") {
        return None;
    }
    let hashes = text[from..].iter().take_while(|&&c| c == '#').count();
    if text.get(from + hashes) != Some(&'"') {
        return None;
    }
    let closes = |i: &usize| {
        text[*i] == '"' && text[i + 1..].iter().take_while(|&&c| c == '#').count() >= hashes
    };
    (from + hashes + 1..text.len()).find(closes).map(|i| i + 1 + hashes)
}

/// Every path of our own that a module names, from the crate's root, with its line.
pub(crate) fn own_paths(source: &str, module: &[&str]) -> Vec<(usize, Vec<String>)> {
    let tokens = tokens(source);
    let mut inside: Vec<String> = module.iter().map(ToString::to_string).collect();
    let (mut depth, mut opened, mut paths) = (0_usize, Vec::new(), Vec::new());
    let mut rest = tokens.iter().peekable();
    let (mut before, mut earlier): (Option<&Token>, Option<&Token>) = (None, None);
    while let Some((line, token)) = rest.next() {
        match token {
            Token::Sign('{') => {
                if let (Some(Token::Word(key)), Some(Token::Word(name))) = (earlier, before)
                    && key == "mod"
                {
                    opened.push(depth);
                    inside.push(name.clone());
                }
                depth += 1;
            }
            Token::Sign('}') => {
                depth = depth.saturating_sub(1);
                if opened.last() == Some(&depth) {
                    opened.pop();
                    inside.pop();
                }
            }
            Token::Word(first)
                if before != Some(&Token::PathSeparator)
                    && matches!(rest.peek(), Some((_, Token::PathSeparator))) =>
            {
                let start = match first.as_str() {
                    "crate" | "primcs" => Some(Vec::new()),
                    "self" => Some(inside.clone()),
                    "super" => Some(inside[..inside.len().saturating_sub(1)].to_vec()),
                    _ => None,
                };
                if let Some(start) = start {
                    rest.next();
                    let mut found = Vec::new();
                    follow(start, &mut rest, &mut found);
                    paths.extend(found.into_iter().map(|path| (*line, path)));
                    (earlier, before) = (None, None);
                    continue;
                }
            }
            _ => {}
        }
        (earlier, before) = (before, Some(token));
    }
    paths
}

/// Reads on after a separator; a group in braces gives one path for each of its parts.
fn follow(
    mut path: Vec<String>,
    rest: &mut Peekable<Iter<'_, (usize, Token)>>,
    found: &mut Vec<Vec<String>>,
) {
    match rest.peek().map(|(_, token)| token) {
        Some(Token::Sign('{')) => {
            rest.next();
            while let Some((_, token)) = rest.peek() {
                match token {
                    Token::Sign('}') => {
                        rest.next();
                        return;
                    }
                    Token::Word(word) if word == "as" => {
                        rest.next();
                        rest.next();
                    }
                    Token::Word(_) | Token::Sign('{' | '*') => follow(path.clone(), rest, found),
                    _ => {
                        rest.next();
                    }
                }
            }
        }
        Some(Token::Word(word)) => {
            rest.next();
            match word.as_str() {
                "super" => drop(path.pop()),
                "self" => {}
                _ => path.push(word.clone()),
            }
            if let Some((_, Token::PathSeparator)) = rest.peek() {
                rest.next();
                follow(path, rest, found);
            } else {
                found.push(path);
            }
        }
        Some(Token::Sign('*')) => {
            rest.next();
            path.push("*".to_owned());
            found.push(path);
        }
        _ => found.push(path),
    }
}

/// Lines that hold code, without comments, blank lines and inline tests.
pub(crate) fn lines_of_code(source: &str) -> usize {
    let tokens = tokens(source);
    let signature = ['#', '[', 'c', '(', 't', ')', ']'];
    let is_test_mark = |window: &[(usize, Token)]| {
        window.iter().zip(signature).all(|((_, token), wanted)| match token {
            Token::Sign(sign) => *sign == wanted,
            Token::Word(word) => {
                (wanted == 'c' && word == "cfg") || (wanted == 't' && word == "test")
            }
            Token::PathSeparator => false,
        })
    };
    let mut lines = Vec::new();
    let mut rest = tokens.as_slice();
    while let [(line, _), after @ ..] = rest {
        if rest.len() > signature.len() && is_test_mark(&rest[..signature.len()]) {
            // `mod tests;` names another file, wherever it stands. Inline tests stand last (house rules).
            match rest.get(signature.len() + 2) {
                Some((_, Token::Sign(';'))) => rest = &rest[signature.len() + 3..],
                _ => break,
            }
            continue;
        }
        lines.push(*line);
        rest = after;
    }
    lines.dedup();
    lines.len()
}
