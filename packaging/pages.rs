//! Man pages and shell completions as text. Pure: the command line and the default configuration
//! in, files out. tests/package.rs holds them to what they come from.
#![forbid(unsafe_code)]

use std::io;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

const MANUAL: &str = "PRIMCS";

/// The shells, and what each calls the file that completes `primcs`.
pub(crate) const COMPLETIONS: &[(Shell, &str)] =
    &[(Shell::Bash, "primcs"), (Shell::Zsh, "_primcs"), (Shell::Fish, "primcs.fish")];

/// Name and text of each page: one for every command, and primcs.toml(5).
pub(crate) fn all(date: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = primcs::server::command_line().disable_help_subcommand(true);
    root.build();
    let mut commands = Vec::new();
    collect(&root, &mut commands);
    let names: Vec<String> = commands.iter().map(page_name).collect();
    let mut pages = Vec::new();
    for command in commands {
        let name = page_name(&command);
        pages.push((format!("{name}.1"), page(command, &name, &names, date)?));
    }
    pages.push(("primcs.toml.5".to_owned(), settings(date)?));
    Ok(pages)
}

/// What a shell reads to complete `primcs`.
pub(crate) fn completion(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut primcs::server::command_line(), "primcs", &mut script);
    script
}

fn collect(command: &Command, found: &mut Vec<Command>) {
    found.push(command.clone());
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        collect(inner, found);
    }
}

/// `primcs policy check` is primcs-policy-check(1).
fn page_name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: Command, name: &str, all: &[String], date: &str) -> io::Result<Vec<u8>> {
    let more = command.get_after_long_help().map(ToString::to_string);
    let has_inner = command.get_subcommands().any(|inner| !inner.is_hide_set());
    let source = format!("primcs {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).date(date).source(source).manual(MANUAL);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_inner {
        man.render_subcommands_section(&mut text)?;
    }
    let mut roff = Roff::new();
    for paragraph in more.iter().flat_map(|more| more.split("\n\n")) {
        // As in `--help`: a heading with a colon, and what belongs to it below.
        let (heading, lines) = paragraph.split_once(":\n").unwrap_or(("Notes", paragraph));
        roff.control("SH", [heading.to_uppercase().as_str()]);
        for line in lines.lines() {
            roff.control("TP", []);
            let (term, meaning) = line.trim().split_once("  ").unwrap_or((line.trim(), ""));
            roff.text([bold(term)]).text([roman(meaning.trim())]);
        }
    }
    roff.control("SH", ["FILES"]);
    for (path, meaning) in FILES {
        roff.control("TP", []);
        roff.text([bold(*path)]).text([roman(*meaning)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    let others = all.iter().filter(|other| *other != name);
    let mut seen: Vec<_> =
        others.flat_map(|other| [bold(other.as_str()), roman("(1), ")]).collect();
    seen.extend([bold("primcs.toml"), roman("(5)")]);
    roff.text(seen);
    roff.to_writer(&mut text)?;
    Ok(text)
}

/// From the commented file that `primcs config default` prints: a paragraph with its settings each.
fn settings(date: &str) -> io::Result<Vec<u8>> {
    let source = format!("primcs {}", env!("CARGO_PKG_VERSION"));
    let mut roff = Roff::new();
    roff.control("TH", ["primcs.toml", "5", date, source.as_str(), MANUAL]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("primcs.toml - settings of primcs")]);
    roff.control("SH", ["DESCRIPTION"]);
    let mut listed = false;
    for paragraph in primcs::server::default_configuration().split("\n\n") {
        let lines = paragraph.lines();
        let (said, rest): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("# "));
        let said = said.join("\n").replace("\n# ", " ");
        let said = said.trim_start_matches("# ");
        if !rest.is_empty() && !listed {
            listed = true;
            roff.control("SH", ["SETTINGS"]);
        }
        for line in rest {
            if line.starts_with('[') {
                roff.control("SS", [line]);
                continue;
            }
            roff.control("TP", []);
            roff.text([bold(line.trim_start_matches('#'))]).text([roman(said)]);
        }
        if !listed {
            roff.control("PP", []);
            roff.text([roman(said)]);
        }
    }
    roff.control("SH", ["FILES"]);
    for (path, meaning) in FILES {
        roff.control("TP", []);
        roff.text([bold(*path)]).text([roman(*meaning)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("primcs"), roman("(1), "), bold("primcs-config"), roman("(1)")]);
    let mut text = Vec::new();
    roff.to_writer(&mut text)?;
    Ok(text)
}

const FILES: &[(&str, &str)] = &[
    (
        "/etc/primcs/primcs.toml",
        "Settings of the service, and of root. Of a plain user: $XDG_CONFIG_HOME/primcs/primcs.toml.",
    ),
    ("/etc/primcs/policy/", "A whole file in here replaces the built-in one of that name."),
    ("/usr/share/primcs/policy/", "The built-in policy, to copy from."),
    ("/var/lib/primcs/", "The private copy of the interpreter and tools that runs see."),
];
