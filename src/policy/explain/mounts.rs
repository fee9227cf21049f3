//! `mounts.toml` as text. Trusts the parsed value and adds nothing to it.
#![forbid(unsafe_code)]

use super::{Text, names, words};
use crate::policy::mounts::{Base, EtcContent, FileName, Mounts, RootPath};

pub(super) fn explain(mounts: &Mounts) -> Text {
    let mut text = Text::default();
    text.heading(2, "What a run sees of a file system (mounts)");
    text.heading(3, "Its root");
    let root = &mounts.root;
    text.item("`/`", &format!("a tmpfs, {}", words(&root.tmpfs.flags)), &root.tmpfs.reason);
    let flags = format!("({})", words(&root.base.flags));
    text.item("`/usr` `/etc` and all else of the private copy", &flags, &root.base.reason);
    for link in &mounts.root.link {
        text.item(&format!("`{}`", link.path.as_str()), &format!("-> `{}`", link.to), &link.reason);
    }
    for device in &mounts.root.device {
        text.item(&format!("`/dev/{}`", device.name.as_str()), "", &device.reason);
    }
    text.heading(3, "What it can write");
    text.item(
        "one tmpfs of its own",
        &format!("({})", words(&mounts.run.flags)),
        &mounts.run.reason,
    );
    for directory in &mounts.run.directory {
        let value = format!("mode {:04o}", directory.mode);
        text.item(&format!("`{}`", directory.target.as_str()), &value, &directory.reason);
    }
    text.heading(3, "What `/proc` shows");
    text.item("`/proc`", &format!("({})", words(&mounts.proc.flags)), &mounts.proc.reason);
    for entry in &mounts.proc.show {
        text.item(&format!("`/proc/{}`", entry.path.as_str()), "", &entry.reason);
    }
    base(&mut text, &mounts.base);
    text
}

fn base(text: &mut Text, base: &Base) {
    text.heading(3, "What the private copy holds");
    text.item("interpreter", "", &base.python.reason);
    for skip in &base.python.skip {
        text.item(
            "of the standard library, not",
            &names(skip.names.iter().map(String::as_str)),
            &skip.reason,
        );
    }
    let directories = names(base.tool_path.directories.iter().map(RootPath::as_str));
    text.item("tools from", &directories, &base.tool_path.reason);
    for tool in &base.tool {
        text.item(&names(tool.names.iter().map(FileName::as_str)), "", &tool.reason);
    }
    for library in &base.library {
        text.item(&names(library.names.iter().map(FileName::as_str)), "", &library.reason);
    }
    for tree in &base.tree {
        let skipped = match tree.skip.as_slice() {
            [] => String::new(),
            some => format!("without {}", names(some.iter().map(String::as_str))),
        };
        text.item(&format!("`{}`", tree.path.as_str()), &skipped, &tree.reason);
    }
    for file in &base.etc {
        let content = match &file.content {
            EtcContent::Text(_) => "written by us".to_owned(),
            EtcContent::FirstOf(paths) => {
                format!("from the first of {}", names(paths.iter().map(RootPath::as_str)))
            }
        };
        text.item(&format!("`/etc/{}`", file.name.as_str()), &content, &file.reason);
    }
}
