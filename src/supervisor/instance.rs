//! Several supervisors live side by side: each holds a lock that gives it a number, and the number
//! names its cgroups and its block of host ids. The next to start removes what dead ones left behind,
//! which it knows by their free locks, and touches nothing else.
#![forbid(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;

use super::identities::MOST_INSTANCES;

/// A number that no other live supervisor of this host has.
#[derive(Debug)]
pub struct Instance {
    number: u32,
    directory: PathBuf,
    _lock: Flock<File>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// The directory of locks cannot be used.
    #[error("cannot lock an instance number in {directory}")]
    Lock {
        /// Where.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// All numbers are taken.
    #[error("{MOST_INSTANCES} supervisors are running on this host already")]
    TooMany,
}

impl Instance {
    /// Takes the lowest free number. As root the locks are the host's, so that ids are unique
    /// whatever the state directory; rootless they are those of `user`, where the host has a place
    /// for such, or the state directory's.
    pub fn take(user: Option<Uid>, state: &Path) -> Result<Self, InstanceError> {
        let named = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        // systemd's first: MCP clients do not pass the variable, su may pass another user's.
        let usual = user.map(|user| PathBuf::from(format!("/run/user/{user}")));
        let runtimes = usual.into_iter().chain(named).collect();
        let directory = lock_directory(user.is_some(), state, runtimes);
        let failed = |source| InstanceError::Lock { directory: directory.clone(), source };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&directory)
            .map_err(failed)?;
        for number in 0..MOST_INSTANCES {
            if let Some(instance) = try_lock(&directory, number).map_err(failed)? {
                return Ok(instance);
            }
        }
        Err(InstanceError::TooMany)
    }

    /// Takes, for as long as the result lives, the number in the name of a cgroup that was found:
    /// when that succeeds, whoever made it is dead.
    #[must_use]
    pub fn take_dead(&self, cgroup: &str) -> Option<Self> {
        let number = cgroup.strip_prefix(CGROUP_PREFIX)?.parse().ok()?;
        try_lock(&self.directory, number).ok().flatten()
    }

    /// The number.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Name of the cgroup below which all runs of this instance are.
    #[must_use]
    pub fn cgroup_name(&self) -> String {
        format!("{CGROUP_PREFIX}{}", self.number)
    }
}

fn lock_directory(rootless: bool, state: &Path, runtimes: Vec<PathBuf>) -> PathBuf {
    if !rootless {
        return "/run/primcs".into();
    }
    runtimes.into_iter().find(|folder| is_ours_alone(folder)).map_or_else(
        || state.join("instances"),
        // Two state directories of one user must not both have the number 0.
        |runtime| runtime.join("primcs"),
    )
}

/// Whether nobody else can put or hold a lock there.
fn is_ours_alone(folder: &Path) -> bool {
    folder.is_absolute()
        && std::fs::symlink_metadata(folder).is_ok_and(|found| {
            let ours = found.uid() == nix::unistd::geteuid().as_raw();
            found.is_dir() && ours && found.mode() & 0o7777 == 0o700
        })
}

fn try_lock(directory: &Path, number: u32) -> io::Result<Option<Instance>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(directory.join(format!("instance-{number}.lock")))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(Instance { number, directory: directory.to_owned(), _lock: lock })),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

/// What the cgroups of all instances begin with.
const CGROUP_PREFIX: &str = "primcs-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rootless_locks_are_the_users_where_only_the_user_can_hold_them() {
        use std::os::unix::fs::PermissionsExt;
        let state = Path::new("/state");
        let runtime = std::env::temp_dir().join(format!("primcs-runtime-{}", std::process::id()));
        std::fs::create_dir(&runtime).unwrap();
        let chosen = |mode| {
            std::fs::set_permissions(&runtime, std::fs::Permissions::from_mode(mode)).unwrap();
            lock_directory(true, state, vec![PathBuf::from("/nowhere"), runtime.clone()])
        };
        let (private, open) = (chosen(0o700), chosen(0o755));
        std::fs::remove_dir(&runtime).unwrap();
        assert_eq!(private, runtime.join("primcs"));
        assert_eq!(open, state.join("instances"));
        for useless in [vec![], vec![runtime], vec![PathBuf::from("relative")]] {
            assert_eq!(lock_directory(true, state, useless), state.join("instances"));
        }
    }
}
