//! Every way in which a copy can differ from what was written is found and named.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::super::plan::{Piece, Pieces};
use super::super::tests::Scratch;
use super::super::{ROOT, copy};
use super::*;

fn copy_with_a_file_and_a_link() -> (Scratch, PathBuf) {
    let scratch = Scratch::new();
    let pieces = Pieces::from([
        ("/usr/bin/tool".into(), Piece::Text("x".repeat(CHUNK + 1))),
        ("/bin".into(), Piece::Link("usr/bin".into())),
    ]);
    let root = scratch.0.join(ROOT);
    let digest = write(&copy::write(&root, &pieces).unwrap(), &scratch.0).unwrap();
    assert_eq!(verify(&scratch.0).unwrap(), digest);
    (scratch, root)
}

fn refusal_after(change: impl FnOnce(&Path)) -> String {
    let (scratch, root) = copy_with_a_file_and_a_link();
    change(&root);
    verify(&scratch.0).unwrap_err().to_string()
}

#[test]
fn a_flipped_byte_is_found() {
    let error = refusal_after(|root| {
        let path = root.join("usr/bin/tool");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(path, bytes).unwrap();
    });
    assert!(error.contains("usr/bin/tool") && error.contains("content"), "{error}");
}

#[test]
fn an_entry_more_or_less_is_found() {
    let more = refusal_after(|root| std::fs::write(root.join("usr/extra"), "").unwrap());
    assert!(more.contains("usr/extra") && more.contains("belong"), "{more}");
    let less = refusal_after(|root| std::fs::remove_file(root.join("bin")).unwrap());
    assert!(less.contains("missing"), "{less}");
}

#[test]
fn another_type_mode_link_or_name_of_the_same_inode_is_found() {
    let tool = |root: &Path| root.join("usr/bin/tool");
    let changes: [&dyn Fn(&Path); 5] = [
        &|root| std::fs::set_permissions(tool(root), Permissions::from_mode(0o4755)).unwrap(),
        &|root| std::fs::set_permissions(root.join("usr"), Permissions::from_mode(0o777)).unwrap(),
        &|root| std::fs::hard_link(tool(root), root.join("../elsewhere")).unwrap(),
        &|root| {
            std::fs::rename(tool(root), root.join("../elsewhere")).unwrap();
            symlink("../../../elsewhere", tool(root)).unwrap();
        },
        &|root| {
            std::fs::remove_file(root.join("bin")).unwrap();
            symlink("usr/../usr/bin", root.join("bin")).unwrap();
        },
    ];
    for change in changes {
        let error = refusal_after(change);
        assert!(error.contains("its type, owner, mode, names, content or target"), "{error}");
    }
}

#[test]
fn a_missing_or_broken_manifest_is_no_whole_copy() {
    let (scratch, _) = copy_with_a_file_and_a_link();
    std::fs::write(scratch.0.join(NAME), "{").unwrap();
    assert!(matches!(verify(&scratch.0), Err(BaseError::Damaged { .. })));
    std::fs::remove_file(scratch.0.join(NAME)).unwrap();
    assert!(matches!(verify(&scratch.0), Err(BaseError::Read { .. })));
}

#[test]
fn an_entry_of_another_owner_is_found() {
    if !nix::unistd::geteuid().is_root() {
        println!("NOT RUN: only root can give a file away");
        return;
    }
    for name in ["usr", "usr/bin/tool", "bin"] {
        let error = refusal_after(|root| {
            std::os::unix::fs::lchown(root.join(name), Some(2_000_000_001), None).unwrap();
        });
        assert!(error.contains("owner"), "{error}");
    }
}
