//! `process.toml` as text. Trusts the parsed value and adds nothing to it.
#![forbid(unsafe_code)]

use super::{Text, names, words};
use crate::policy::mounts::RootPath;
use crate::policy::process::{LandlockRule, Process};

pub(super) fn explain(process: &Process) -> Text {
    let mut text = Text::default();
    text.heading(2, "The program of a run (process)");
    text.heading(3, "Namespaces of its own");
    for namespace in &process.namespace {
        text.item(&format!("`{}`", words(&[namespace.kind])), "", &namespace.reason);
    }
    text.heading(3, "Who it is");
    let identity = &process.identity;
    text.item("`uid`", &format!("= {}", identity.uid.value), &identity.uid.reason);
    text.item("`gid`", &format!("= {}", identity.gid.value), &identity.gid.reason);
    text.item("`hostname`", &format!("= {}", identity.hostname.value), &identity.hostname.reason);
    text.item(
        "`directory`",
        &format!("= {}", identity.directory.value.as_str()),
        &identity.directory.reason,
    );
    text.item("`umask`", &format!("= {}", identity.umask.value), &identity.umask.reason);
    text.item(
        "`oom_score_adj`",
        &format!("= {}", identity.oom_score_adj.value),
        &identity.oom_score_adj.reason,
    );
    text.heading(3, "What it can never do again");
    let privilege = &process.privilege;
    let capabilities = match privilege.capabilities.value.as_slice() {
        [] => "= none".to_owned(),
        some => format!("= {}", some.join(", ")),
    };
    text.item("`capabilities`", &capabilities, &privilege.capabilities.reason);
    text.item(
        "`no_new_privs`",
        &format!("= {}", privilege.no_new_privs.value),
        &privilege.no_new_privs.reason,
    );
    text.item(
        "`securebits`",
        &format!("= {}", words(&privilege.securebits.value)),
        &privilege.securebits.reason,
    );
    text.item(
        "`new_session_keyring`",
        &format!("= {}", privilege.new_session_keyring.value),
        &privilege.new_session_keyring.reason,
    );
    text.heading(3, "Environment");
    for variable in &process.environment {
        text.item(&format!("`{}={}`", variable.name, variable.value), "", &variable.reason);
    }
    text.heading(3, "Landlock, where the kernel has it");
    let run = &process.landlock;
    text.item("everything not granted here", "is refused", &run.reason);
    let rights = format!("may {}", words(&run.base.rights));
    text.item("`/usr` `/etc` and all else of the private copy", &rights, &run.base.reason);
    rules(&mut text, &run.rule);
    text.heading(3, "Landlock of the server, after its start");
    let server = &process.server.landlock;
    text.item("everything not granted here", "is refused", &server.reason);
    rules(&mut text, &server.rule);
    text
}

fn rules(text: &mut Text, rules: &[LandlockRule]) {
    for rule in rules {
        let rights = format!("may {}", words(&rule.rights));
        text.item(&names(rule.paths.iter().map(RootPath::as_str)), &rights, &rule.reason);
    }
}
