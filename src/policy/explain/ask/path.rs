//! A path that no line names: below one that a line names, covered, or not there. Only names are
//! looked at, no link of the host is followed.
#![forbid(unsafe_code)]

use super::{Text, deciding};
use crate::policy::Policy;

/// None for a path that is not written out.
pub(super) fn about(policy: &Policy, path: &str) -> Option<Text> {
    let mut parts = path.split('/').skip(1);
    if parts.any(|part| ["", ".", ".."].contains(&part)) {
        return None;
    }
    let (says, ids) = decided(policy, path);
    let mut text = Text::default();
    text.heading(1, path);
    text.paragraph(&format!("`{path}` {says}."));
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    text.append(deciding(policy, &ids));
    Some(text)
}

/// What holds for the path, and the entries whose lines say so.
fn decided(policy: &Policy, path: &str) -> (String, Vec<String>) {
    let mounts = &policy.mounts;
    let answer = |says: &str, ids: &[&str]| {
        (says.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>())
    };
    if let Some(link) =
        mounts.root.link.iter().find(|link| below(path, link.path.as_str()).is_some())
    {
        let rest = below(path, link.path.as_str()).unwrap_or_default();
        let target = format!("{}{rest}", link.to);
        let (says, mut ids) = decided(policy, &target);
        ids.insert(0, format!("mounts root.link {}", link.path.as_str()));
        return (format!("is `{target}`, which {says}"), ids);
    }
    if below(path, "/proc").is_some() {
        return proc(policy, path);
    }
    if let Some(own) = mounts.run.directory.iter().find(|own| is_in(path, own.target.as_str())) {
        let above = own.target.as_str();
        let says =
            format!("is below `{above}`, the run's own: nothing is there but what it writes");
        return answer(&says, &[&format!("mounts run.directory {above}")]);
    }
    if let Some(tree) = mounts.base.tree.iter().find(|tree| is_in(path, tree.path.as_str())) {
        let above = tree.path.as_str();
        let but = if tree.skip.is_empty() { "" } else { " but for what its line leaves out" };
        let says =
            format!("is below `{above}`, which is copied as the host has it{but}, read-only");
        return answer(&says, &[&format!("mounts base.tree {above}"), "mounts root.base"]);
    }
    let in_directory = |directory: &str| {
        let name = below(path, directory)?.strip_prefix('/')?;
        if name.contains('/') { None } else { Some(name) }
    };
    let mut directories = mounts.base.tool_path.directories.iter();
    if let Some(name) = directories.find_map(|directory| in_directory(directory.as_str())) {
        return tool(policy, name);
    }
    if policy
        .process
        .landlock
        .rule
        .iter()
        .flat_map(|rule| &rule.paths)
        .any(|own| own.as_str() == OWN_PROGRAMS && is_in(path, OWN_PROGRAMS))
    {
        let says = format!("is below `{OWN_PROGRAMS}`, which holds what PRIMCS starts, read-only");
        return answer(&says, &[&format!("process landlock {OWN_PROGRAMS}")]);
    }
    let ids: Vec<_> = listed(policy)
        .into_iter()
        .filter(|(listed, _)| is_in(listed, path))
        .map(|(_, id)| id)
        .collect();
    if !ids.is_empty() {
        return ("holds nothing but what is listed below it".to_owned(), ids);
    }
    if COPY.into_iter().any(|copy| is_in(path, copy)) {
        let says = "is there only when the private copy holds it: a library that a listed tool needs, or a part of the interpreter. It is never the host's own file, and read-only";
        return answer(says, &["mounts root.base", "mounts base.python"]);
    }
    answer("is not there: the root is built from nothing, and no line lists it", &["mounts root"])
}

fn tool(policy: &Policy, name: &str) -> (String, Vec<String>) {
    let ids = |own: &str| vec![own.to_owned(), "mounts base.tool_path".to_owned()];
    let mut names = policy.mounts.base.tool.iter().flat_map(|group| &group.names);
    if names.any(|own| own.as_str() == name) {
        let says = "is a listed tool: the private copy has it where the host does, read-only";
        return (says.to_owned(), ids(&format!("mounts base.tool {name}")));
    }
    if name.starts_with("python") {
        let says = "is there when it is the interpreter that runs use, or a link to it; read-only";
        return (says.to_owned(), vec!["mounts base.python".to_owned()]);
    }
    let says = "is no listed tool, so it is not there, unless a listed one is a link to it";
    (says.to_owned(), ids("mounts root"))
}

/// Below `/proc`, of which only what is listed shows.
fn proc(policy: &Policy, path: &str) -> (String, Vec<String>) {
    let own = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let mut parts = path.split('/').skip(2);
    let process = parts.next().unwrap_or_default();
    let is_number = !process.is_empty() && process.chars().all(|letter| letter.is_ascii_digit());
    if is_number || ["self", "thread-self"].contains(&process) {
        if process == "1" {
            let says = "belongs to the run's init, which is not dumpable: its memory, environment, descriptors and links cannot be read";
            return (says.to_owned(), own(&["always init", "process namespace pid"]));
        }
        let whose = if is_number { "can only belong to one" } else { "belongs to one" };
        let whose = format!("{whose} of the run's own processes, the only ones that show");
        if parts.any(|part| LINKS.contains(&part)) {
            let says = format!(
                "{whose}; what leads out of `/proc` there ends in the run's own files, and the path that they have in its root decides"
            );
            return (
                says,
                own(&["process namespace pid", "process namespace mount", "mounts root"]),
            );
        }
        let ids = ["process namespace pid", "mounts proc ro", "process landlock /proc"];
        return (whose, own(&ids));
    }
    let shows =
        || policy.mounts.proc.show.iter().map(|entry| format!("/proc/{}", entry.path.as_str()));
    if let Some(above) = shows().find(|above| is_in(path, above)) {
        let ids =
            [&format!("mounts proc.show {above}"), "mounts proc ro", "process landlock /proc"];
        return (format!("is below `{above}`, which is shown, read-only"), own(&ids));
    }
    let covered = "is covered: everything in `/proc` that is not listed is";
    let shown: Vec<_> = shows().filter(|shown| is_in(shown, path)).collect();
    if shown.is_empty() {
        return (covered.to_owned(), own(&["mounts proc"]));
    }
    let mut ids = own(&["mounts proc"]);
    ids.extend(shown.iter().map(|shown| format!("mounts proc.show {shown}")));
    ("is covered but for what is listed below it".to_owned(), ids)
}

/// What of `path` follows `above`, when it lies there or below.
fn below<'a>(path: &'a str, above: &str) -> Option<&'a str> {
    path.strip_prefix(above).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_in(path: &str, above: &str) -> bool {
    below(path, above).is_some()
}

/// Every path of the root that a line names, with its entry.
fn listed(policy: &Policy) -> Vec<(String, String)> {
    let mounts = &policy.mounts;
    let row = |kind: &str, path: String| {
        let id = format!("mounts {kind} {path}");
        (path, id)
    };
    let links = mounts.root.link.iter().map(|link| link.path.as_str().to_owned());
    let devices = mounts.root.device.iter().map(|device| format!("/dev/{}", device.name.as_str()));
    let own = mounts.run.directory.iter().map(|own| own.target.as_str().to_owned());
    let etc = mounts.base.etc.iter().map(|file| format!("/etc/{}", file.name.as_str()));
    let root = links.map(|path| row("root.link", path));
    let root = root.chain(devices.map(|path| row("root.device", path)));
    let own = own.map(|path| row("run.directory", path));
    root.chain(own).chain(etc.map(|path| row("base.etc", path))).collect()
}

/// Links of a process to files.
const LINKS: [&str; 5] = ["root", "cwd", "exe", "fd", "map_files"];

/// Where the short program lies that runs the script.
const OWN_PROGRAMS: &str = "/primcs";

/// Where the private copy lies, besides `/etc`, whose files are all listed.
const COPY: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];
