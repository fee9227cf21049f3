//! `mounts.toml` as text. Trusts the parsed value and adds nothing to it.
#![forbid(unsafe_code)]

use super::text::{Entry, Item, Text, names, word, words};
use crate::policy::mounts::{Base, EtcContent, FileName, MountFlag, Mounts, RootPath};

pub(super) fn explain(mounts: &Mounts) -> Text {
    let mut text = Text::default();
    text.heading(2, "What a run sees of a file system (mounts)");
    text.heading(3, "Its root");
    let root = &mounts.root;
    let mut entries = flags("mounts root.tmpfs", &root.tmpfs.flags);
    entries.push(Entry::wall("mounts root", "built from nothing"));
    let shown = format!("a tmpfs, {}", words(&root.tmpfs.flags));
    text.add(Item::new("`/`", &shown, root.tmpfs.reason.as_str(), entries));
    let mut entries = flags("mounts root.base", &root.base.flags);
    entries.push(Entry::wall("mounts base", "a private copy"));
    let shown = format!("({})", words(&root.base.flags));
    let name = "`/usr` `/etc` and all else of the private copy";
    text.add(Item::new(name, &shown, root.base.reason.as_str(), entries));
    for link in &mounts.root.link {
        let (path, shown) = (link.path.as_str(), format!("-> `{}`", link.to));
        let id = format!("mounts root.link {path}");
        text.grant(&id, &format!("`{path}`"), &shown, &link.reason);
    }
    for device in &mounts.root.device {
        let path = format!("/dev/{}", device.name.as_str());
        text.grant(&format!("mounts root.device {path}"), &format!("`{path}`"), "", &device.reason);
    }
    text.heading(3, "What it can write");
    let shown = format!("({})", words(&mounts.run.flags));
    let entries = flags("mounts run", &mounts.run.flags);
    text.add(Item::new("one tmpfs of its own", &shown, mounts.run.reason.as_str(), entries));
    for directory in &mounts.run.directory {
        let (path, mode) = (directory.target.as_str(), format!("mode {:04o}", directory.mode));
        let id = format!("mounts run.directory {path}");
        text.wall(&id, &format!("`{path}`"), &mode, &directory.reason);
    }
    text.heading(3, "What `/proc` shows");
    let mut entries = flags("mounts proc", &mounts.proc.flags);
    entries.push(Entry::wall("mounts proc cover", "everything not shown"));
    let shown = format!("({})", words(&mounts.proc.flags));
    text.add(Item::new("`/proc`", &shown, mounts.proc.reason.as_str(), entries));
    for entry in &mounts.proc.show {
        let path = format!("/proc/{}", entry.path.as_str());
        text.grant(&format!("mounts proc.show {path}"), &format!("`{path}`"), "", &entry.reason);
    }
    base(&mut text, &mounts.base);
    text
}

/// Each flag alone is something that a run cannot do.
fn flags(mount: &str, flags: &[MountFlag]) -> Vec<Entry> {
    flags.iter().map(|flag| Entry::wall(format!("{mount} {}", word(flag)), "set")).collect()
}

/// Entries for each of some names; for all of them the line says the same.
fn each<'a>(id: &str, all: impl Iterator<Item = &'a str>) -> Vec<Entry> {
    all.map(|name| Entry::grant(format!("mounts {id} {name}"), "copied")).collect()
}

fn base(text: &mut Text, base: &Base) {
    text.heading(3, "What the private copy holds");
    text.grant("mounts base.python", "interpreter", "", &base.python.reason);
    for skip in &base.python.skip {
        let skipped = || skip.names.iter().map(String::as_str);
        let id = |name| Entry::wall(format!("mounts base.python.skip {name}"), "left out");
        let entries = skipped().map(id).collect();
        let reason = skip.reason.as_str();
        text.add(Item::new("of the standard library, not", &names(skipped()), reason, entries));
    }
    let directories = names(base.tool_path.directories.iter().map(RootPath::as_str));
    text.wall("mounts base.tool_path", "tools from", &directories, &base.tool_path.reason);
    for tool in &base.tool {
        let all = || tool.names.iter().map(FileName::as_str);
        let entries = each("base.tool", all());
        text.add(Item::new(&names(all()), "", tool.reason.as_str(), entries));
    }
    for library in &base.library {
        let all = || library.names.iter().map(FileName::as_str);
        let entries = each("base.library", all());
        text.add(Item::new(&names(all()), "", library.reason.as_str(), entries));
    }
    for tree in &base.tree {
        let path = tree.path.as_str();
        let mut entries = vec![Entry::grant(format!("mounts base.tree {path}"), "copied")];
        let skipped = match tree.skip.as_slice() {
            [] => String::new(),
            some => {
                let id = format!("mounts base.tree.skip {path}");
                entries.push(Entry::wall(id, some.join(" ")));
                format!("without {}", names(some.iter().map(String::as_str)))
            }
        };
        text.add(Item::new(&format!("`{path}`"), &skipped, tree.reason.as_str(), entries));
    }
    for file in &base.etc {
        let content = match &file.content {
            EtcContent::Text(_) => "written by us".to_owned(),
            EtcContent::FirstOf(paths) => {
                format!("from the first of {}", names(paths.iter().map(RootPath::as_str)))
            }
        };
        let path = format!("/etc/{}", file.name.as_str());
        text.grant(
            &format!("mounts base.etc {path}"),
            &format!("`{path}`"),
            &content,
            &file.reason,
        );
    }
}
