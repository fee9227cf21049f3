//! What is believed and what is not, on real files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use super::*;

/// A closed folder below /tmp, gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("primcs-{name}-{}", std::process::id()));
        let _left = fs::remove_dir_all(&path);
        make_folder(&path, 0o755).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        set_mode(&path, 0o644);
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn problem<T: std::fmt::Debug>(result: Result<T, TrustError>) -> (PathBuf, Problem) {
    match result.unwrap_err() {
        TrustError::Untrusted { path, problem, .. } => (path, problem),
        other => panic!("another failure: {other:?}"),
    }
}

#[test]
fn a_file_that_only_we_can_change_is_read_although_it_lies_below_tmp() {
    let scratch = Scratch::new("closed");
    let file = scratch.file("a.toml", "max_runs = 3\n");
    assert_eq!(read(&file).unwrap(), "max_runs = 3\n");
    let named = "a.toml".to_owned();
    assert_eq!(read_folder(&scratch.0).unwrap().into_keys().collect::<Vec<_>>(), [named]);
}

#[test]
fn a_link_anywhere_on_the_path_is_refused() {
    let scratch = Scratch::new("links");
    let file = scratch.file("real.toml", "");
    let (link, folder) = (scratch.0.join("link.toml"), scratch.0.join("folder"));
    symlink(&file, &link).unwrap();
    symlink(&scratch.0, &folder).unwrap();
    assert_eq!(problem(read(&link)), (link.clone(), Problem::Link));
    assert_eq!(problem(read(&folder.join("real.toml"))), (folder.clone(), Problem::Link));
    assert_eq!(problem(read_folder(&scratch.0)), (link, Problem::Link));
    assert_eq!(problem(make_folder(&folder.join("new"), 0o700)), (folder, Problem::Link));
    assert!(!scratch.0.join("new").exists(), "made before it was judged");
    assert_eq!(problem(read(&scratch.0.join("../x.toml"))), (scratch.0.clone(), Problem::Upwards));
}

#[test]
fn what_others_can_write_is_refused_and_nothing_is_made_in_it() {
    let scratch = Scratch::new("open");
    let folder = scratch.0.join("folder");
    make_folder(&folder, 0o755).unwrap();
    for mode in [0o775, 0o757] {
        set_mode(&folder, mode);
        let refused = problem(make_folder(&folder.join("state/base"), 0o755));
        assert_eq!(refused, (folder.clone(), Problem::Writable(mode)));
        assert!(!folder.join("state").exists(), "made before it was judged");
    }
    // Sticky helps above, not at the end: there others could still add files.
    set_mode(&folder, 0o1777);
    assert_eq!(problem(read_folder(&folder)).1, Problem::Writable(0o1777));
    let file = scratch.file("open.toml", "");
    set_mode(&file, 0o664);
    assert_eq!(problem(read(&file)), (file, Problem::Writable(0o664)));
}

#[test]
fn what_belongs_to_another_user_is_refused_unless_this_program_does_too() {
    let scratch = Scratch::new("owner");
    let file = scratch.file("program", "");
    if !nix::unistd::geteuid().is_root() {
        println!("only root can give a file away; not tried");
        return;
    }
    chown(&file, Some(12345), None).unwrap();
    assert_eq!(problem(read(&file)), (file.clone(), Problem::Owner(12345)));
    let this = fs::metadata("/proc/self/exe").unwrap();
    assert_eq!(problem(open_program(&file, &this)).1, Problem::Owner(12345));
    open_program(&file, &fs::metadata(&file).unwrap()).unwrap();
}

#[test]
fn a_programs_folder_may_be_its_owners_own_groups_and_the_program_may_not() {
    let scratch = Scratch::new("group");
    let file = scratch.file("program", "");
    if !nix::unistd::geteuid().is_root() {
        println!("only root can give a file away; not tried");
        return;
    }
    for path in [&scratch.0, &file] {
        chown(path, Some(12345), Some(12345)).unwrap();
    }
    set_mode(&scratch.0, 0o775);
    let this = fs::metadata(&file).unwrap();
    open_program(&file, &this).unwrap();
    set_mode(&file, 0o664);
    assert_eq!(problem(open_program(&file, &this)), (file.clone(), Problem::Writable(0o664)));
    set_mode(&file, 0o644);
    chown(&scratch.0, None, Some(100)).unwrap();
    assert_eq!(problem(open_program(&file, &this)).1, Problem::Writable(0o775));
}

#[test]
fn a_device_a_pipe_and_a_folder_are_no_files() {
    let scratch = Scratch::new("kinds");
    assert_eq!(problem(read(&scratch.0)), (scratch.0.clone(), Problem::NoFile));
    let pipe = scratch.0.join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
    assert_eq!(problem(read(&pipe)), (pipe, Problem::NoFile));
    let file = scratch.file("file", "");
    assert_eq!(problem(read(&file.join("below"))), (file, Problem::NoFolder));
    assert_eq!(problem(read(Path::new("/dev/null"))).1, Problem::NoFile);
}

#[test]
fn a_file_above_the_bound_is_refused_and_not_cut_short() {
    let scratch = Scratch::new("bound");
    let most = usize::try_from(MOST_BYTES).unwrap();
    let file = scratch.file("long.toml", &"#".repeat(most));
    assert_eq!(read(&file).unwrap().len(), most);
    let file = scratch.file("long.toml", &"#".repeat(most + 1));
    assert!(matches!(read(&file), Err(TrustError::TooLarge { .. })));
    assert!(matches!(read_folder(&scratch.0), Err(TrustError::TooLarge { .. })));
}

#[test]
fn every_refusal_says_what_mends_it() {
    let scratch = Scratch::new("mends");
    let file = scratch.file("open.toml", "");
    set_mode(&file, 0o666);
    let said = read(&file).unwrap_err();
    assert_eq!(said.next(), format!("chmod go-w {}", file.display()));
    assert!(said.to_string().contains(&file.display().to_string()), "{said}");
}
