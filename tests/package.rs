//! What a package brings beside the programs says what they say: man pages and completions have every
//! flag, primcs.toml(5) every setting, and the scripts of the package name the units that there are.
//! That it installs, upgrades and goes again is tried by packaging/try, and with systemd by `make vm`.
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test panics to fail"
)]

#[cfg(test)]
#[path = "../packaging/pages.rs"]
mod pages;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap::{Arg, Command};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Each page as a reader sees it: roff writes a hyphen that is to be copied as `\-`.
fn manual() -> BTreeMap<String, String> {
    let pages = pages::all("2000-01-01").expect("pages can be written to memory");
    let plain = |page: Vec<u8>| {
        let text = String::from_utf8(page).expect("UTF-8");
        text.replace("\\-", "-").replace("\\fB", "").replace("\\fI", "").replace("\\fR", "")
    };
    pages.into_iter().map(|(name, page)| (name, plain(page))).collect()
}

/// Each command by the name of its page.
fn commands() -> BTreeMap<String, Command> {
    fn below(command: &Command, name: &str, found: &mut BTreeMap<String, Command>) {
        found.insert(name.to_owned(), command.clone());
        for inner in command.get_subcommands() {
            below(inner, &format!("{name}-{}", inner.get_name()), found);
        }
    }
    let mut found = BTreeMap::new();
    below(&primcs::server::command_line(), "primcs", &mut found);
    assert!(found.len() > 8, "the commands are no longer found");
    found
}

/// How one argument is written on a command line.
fn spellings(argument: &Arg) -> Vec<String> {
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    let spelt: Vec<_> = long.into_iter().chain(short).collect();
    if spelt.is_empty() {
        return argument
            .get_value_names()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect();
    }
    spelt
}

#[test]
fn every_command_has_a_page_with_all_its_flags_and_what_they_mean() {
    let mut manual = manual();
    let mut flags = 0;
    for (name, command) in commands() {
        let page = manual.remove(&format!("{name}.1")).unwrap_or_else(|| panic!("no page {name}"));
        assert!(page.contains(&format!("{name} - ")), "{name} does not say what it is");
        for argument in command.get_arguments() {
            for spelt in spellings(argument) {
                assert!(page.contains(&spelt), "{name}(1) does not name {spelt}");
                flags += 1;
            }
            let meaning =
                argument.get_help().expect("every argument says what it does").to_string();
            assert!(page.contains(&meaning), "{name}(1) does not say: {meaning}");
            if let Some(more) = command.get_after_long_help() {
                let more = more.to_string();
                let told = more.lines().filter_map(|line| line.trim_start().split_once("  "));
                for part in told.flat_map(|(term, meaning)| [term, meaning.trim()]) {
                    assert!(page.contains(part), "{name}(1) does not say: {part}");
                }
            }
            if let Some(variable) = argument.get_env() {
                let variable = variable.to_string_lossy().into_owned();
                assert!(page.contains(&variable), "{name}(1) does not name {variable}");
            }
        }
    }
    assert!(flags > 30, "flags are no longer found: {flags}");
    let others: Vec<_> = manual.into_keys().collect();
    assert_eq!(others, ["primcs.toml.5"], "a page for a command that there is not");
}

#[test]
fn every_setting_is_in_the_manual_of_the_file() {
    let manual = manual();
    let page = &manual["primcs.toml.5"];
    for (name, _) in primcs::settings::Settings::default().rows() {
        let key = name.rsplit('.').next().unwrap_or(name);
        assert!(page.contains(&format!("\n{key} = ")), "primcs.toml(5) does not name {name}");
    }
}

#[test]
fn every_flag_is_completed_by_every_shell() {
    for (shell, file) in pages::COMPLETIONS {
        let script = String::from_utf8(pages::completion(*shell)).expect("UTF-8");
        let mut flags = 0;
        for (name, command) in commands() {
            // The innermost command, whose lines these must be; fish names it on each.
            let innermost = command.get_name();
            for long in command.get_arguments().filter_map(Arg::get_long) {
                let is_there = if *file == "primcs.fish" && name != "primcs" {
                    script.lines().any(|line| {
                        line.contains(innermost) && line.contains(&format!("-l {long}"))
                    })
                } else if *file == "primcs.fish" {
                    script.contains(&format!("-l {long}"))
                } else {
                    script.contains(&format!("--{long}"))
                };
                assert!(is_there, "{shell}: --{long} of {name} is not completed");
                flags += 1;
            }
            assert!(script.contains(innermost), "{shell}: {name} is not completed");
        }
        assert!(flags > 20, "flags are no longer found: {flags}");
    }
}

#[test]
fn the_package_starts_and_stops_every_unit_and_no_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let names =
        fs::read_dir(folder).expect("systemd/").map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut units: Vec<String> =
        names.filter(|name| name.ends_with(".service") || name.ends_with(".socket")).collect();
    units.sort();
    assert!(units.len() >= 3, "the units are no longer found: {units:?}");
    for script in ["postinst", "prerm"] {
        let text = read(&format!("packaging/debian/{script}"));
        let calls: Vec<&str> =
            text.lines().filter(|line| line.contains("deb-systemd-invoke")).collect();
        let words = calls
            .iter()
            .flat_map(|line| line.split(|letter: char| letter == ';' || letter.is_whitespace()));
        let mut named: Vec<&str> =
            words.filter(|word| word.ends_with(".service") || word.ends_with(".socket")).collect();
        named.sort_unstable();
        named.dedup();
        assert_eq!(named, units, "{script} and systemd/ differ");
    }
}

#[test]
fn the_units_name_programs_settings_and_pages_that_the_package_brings() {
    let manual = manual();
    let install = read("packaging/debian/install");
    assert!(install.contains("programs/* usr/libexec/primcs\n"));
    assert!(install.contains("primcs.toml etc/primcs\n"));
    let mut seen = 0;
    for unit in ["primcs.service", "primcs-supervisor.service", "primcs-supervisor.socket"] {
        let text = read(&format!("systemd/{unit}"));
        let set = text.lines().filter(|line| !line.starts_with('#'));
        for word in set.flat_map(|line| line.split(['=', ' '])) {
            let program = word.strip_prefix("/usr/").or(word.strip_prefix("/bin/"));
            if program.is_some() {
                let known = ["/usr/libexec/primcs/primcs", "/usr/libexec/primcs/primcs-supervisor"];
                assert!(known.contains(&word), "{unit} starts {word}");
                seen += 1;
            }
            if word.starts_with("/etc/") {
                assert_eq!(word, "/etc/primcs/primcs.toml", "{unit}");
                seen += 1;
            }
            if let Some(page) = word.strip_prefix("man:") {
                let page = page.trim_end_matches(')').replace('(', ".");
                assert!(manual.contains_key(&page), "{unit}: there is no page {page}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 6, "paths are no longer found: {seen}");
}
