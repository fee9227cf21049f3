//! Command lines of both programs and the configuration file. Nothing panics; what `primcs`
//! understood, the supervisor is told without loss; a refusal has words; the settings that
//! `config show` prints are the settings when they are read back.
#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use libfuzzer_sys::fuzz_target;
use primcs::server::fuzzing;
use primcs::settings::{MOST_RUNS, Settings};
use primcs::supervisor::arguments::Arguments;

fuzz_target!(|input: &[u8]| {
    let [head, rest @ ..] = input else { return };
    match head % 4 {
        0 => of_the_server(words(rest)),
        1 => of_the_supervisor(words(rest)),
        2 => environment(rest),
        _ => file(rest),
    }
});

/// As the kernel lays them out: NUL between two.
fn words(bytes: &[u8]) -> Vec<OsString> {
    bytes.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect()
}

fn of_the_server(mut words: Vec<OsString>) {
    words.insert(0, "primcs".into());
    let understood = match fuzzing::command_line(words) {
        Err(refusal) => return assert!(!refusal.trim().is_empty()),
        Ok(None) => return,
        Ok(Some(understood)) => understood,
    };
    let settings = understood.settings;
    let told = Arguments::parse(understood.told).expect("the supervisor knows every argument");
    assert_eq!(told.state_dir, settings.state_dir);
    assert_eq!(told.policy, settings.policy);
    assert_eq!(told.config, understood.config);
    assert_eq!(told.python, settings.python);
    assert_eq!(told.max_runs, settings.max_runs);
    assert_eq!(told.allow_soft_limits, settings.allow_soft_limits == Some(true));
    bounded(&settings.checked().unwrap_or_default());
}

fn of_the_supervisor(words: Vec<OsString>) {
    let soft = words.iter().any(|word| word == "--allow-soft-limits");
    match Arguments::parse(words) {
        Ok(told) => assert!(soft || !told.allow_soft_limits),
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
}

/// Lines of `NAME=value`.
fn environment(bytes: &[u8]) {
    let lines: Vec<_> = bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b'=')?;
            let (name, value) = line.split_at(at);
            Some((name, OsString::from_vec(value.get(1..)?.to_vec())))
        })
        .collect();
    let get = |name: &'static str| {
        let line = lines.iter().find(|(own, _)| *own == name.as_bytes());
        line.map(|(_, value)| value.clone())
    };
    match Settings::from_environment(get) {
        Ok(settings) => bounded(&settings),
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
}

fn file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let settings = match Settings::parse(text) {
        Ok(settings) => settings,
        Err(refusal) => return assert!(!refusal.to_string().is_empty()),
    };
    bounded(&settings);
    let shown = |settings: &Settings| settings.rows();
    let lines = shown(&settings).into_iter().filter_map(|(name, value)| Some((name, value?)));
    let text: String = lines.map(|(name, value)| format!("{name} = {value}\n")).collect();
    let again = Settings::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(shown(&settings), shown(&again));
}

fn bounded(settings: &Settings) {
    assert!(settings.max_runs.is_none_or(|runs| (1..=MOST_RUNS).contains(&runs)));
}
