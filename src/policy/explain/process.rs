//! `process.toml` as text. Trusts the parsed value and adds nothing to it.
#![forbid(unsafe_code)]

use super::text::{Entry, Item, Text, names, word, words};
use crate::policy::mounts::RootPath;
use crate::policy::process::{LandlockRule, Process};
use crate::policy::reason::Reason;

pub(super) fn explain(process: &Process) -> Text {
    let mut text = Text::default();
    text.heading(2, "The program of a run (process)");
    text.heading(3, "Namespaces of its own");
    for namespace in &process.namespace {
        let kind = word(&namespace.kind);
        let id = format!("process namespace {kind}");
        text.wall(&id, &format!("`{kind}`"), "", &namespace.reason);
    }
    text.heading(3, "Who it is");
    let identity = &process.identity;
    for (name, value, reason) in [
        ("uid", identity.uid.value.to_string(), &identity.uid.reason),
        ("gid", identity.gid.value.to_string(), &identity.gid.reason),
        ("hostname", identity.hostname.value.clone(), &identity.hostname.reason),
        ("directory", identity.directory.value.as_str().to_owned(), &identity.directory.reason),
        ("umask", identity.umask.value.to_string(), &identity.umask.reason),
        ("oom_score_adj", identity.oom_score_adj.value.to_string(), &identity.oom_score_adj.reason),
    ] {
        setting(&mut text, "identity", name, &value, reason);
    }
    text.heading(3, "What it can never do again");
    let privilege = &process.privilege;
    let capabilities = match privilege.capabilities.value.as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    let new_keyring = &privilege.new_session_keyring;
    for (name, value, reason) in [
        ("capabilities", capabilities, &privilege.capabilities.reason),
        ("no_new_privs", privilege.no_new_privs.value.to_string(), &privilege.no_new_privs.reason),
        ("securebits", words(&privilege.securebits.value), &privilege.securebits.reason),
        ("new_session_keyring", new_keyring.value.to_string(), &new_keyring.reason),
    ] {
        setting(&mut text, "privilege", name, &value, reason);
    }
    text.heading(3, "Environment");
    for variable in &process.environment {
        let (id, value) = (format!("process environment {}", variable.name), &variable.value);
        let entries = vec![Entry::grant(id, value.as_str())];
        let name = format!("`{}={value}`", variable.name);
        text.add(Item::new(&name, "", variable.reason.as_str(), entries));
    }
    text.heading(3, "Landlock, where the kernel has it");
    let (run, rest) = (&process.landlock, "everything not granted here");
    text.wall("process landlock", rest, "is refused", &run.reason);
    let rights = format!("may {}", words(&run.base.rights));
    let name = "`/usr` `/etc` and all else of the private copy";
    text.grant("process landlock base", name, &rights, &run.base.reason);
    rules(&mut text, "process landlock", &run.rule);
    text.heading(3, "Landlock of the server, after its start");
    let server = &process.server.landlock;
    text.wall("process server.landlock", rest, "is refused", &server.reason);
    rules(&mut text, "process server.landlock", &server.rule);
    text
}

fn setting(text: &mut Text, kind: &str, name: &str, value: &str, reason: &Reason) {
    let entries = vec![Entry::wall(format!("process {kind} {name}"), value)];
    let shown = format!("= {value}");
    text.add(Item::new(&format!("`{name}`"), &shown, reason.as_str(), entries));
}

fn rules(text: &mut Text, id: &str, rules: &[LandlockRule]) {
    for rule in rules {
        let rights = format!("may {}", words(&rule.rights));
        let paths = || rule.paths.iter().map(RootPath::as_str);
        let entry = |path| Entry::grant(format!("{id} {path}"), rights.as_str());
        let entries = paths().map(entry).collect();
        text.add(Item::new(&names(paths()), &rights, rule.reason.as_str(), entries));
    }
}
