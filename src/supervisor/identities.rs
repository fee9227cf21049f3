//! Host ids that belong to nobody else: one for the spawner, one for reading the host's programs,
//! and one for each live run, never shared by two. Root only; rootless runs share the user's id.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fs;

use crate::sandbox::weaken;
use crate::settings::MOST_RUNS;

/// First of our ids, the server's where the host has no user `primcs`.
pub const SERVER: u32 = 2_000_000_000;
/// The spawner.
pub const SPAWNER: u32 = SERVER + 1;
/// Whoever runs programs of the host to ask them about themselves.
pub const READER: u32 = SERVER + 2;
/// First id of the first instance's runs.
const FIRST_RUN: u32 = SERVER + 1000;
/// Ids of one instance.
const BLOCK: u32 = MOST_RUNS;
/// Instances that may live side by side on one host.
pub const MOST_INSTANCES: u32 = 64;

/// Somebody else on this host may own our ids.
#[derive(Debug, thiserror::Error)]
#[error("{file} gives away ids between {SERVER} and {}, which runs need for themselves: {line:?}", FIRST_RUN + BLOCK * MOST_INSTANCES)]
pub struct Overlap {
    file: &'static str,
    line: String,
}

/// The ids of one instance's runs, the least recently used first.
#[derive(Debug)]
pub struct RunIds(VecDeque<u32>);

impl RunIds {
    /// Ids for `count` runs of instance number `instance`.
    #[must_use]
    pub fn of_instance(instance: u32, count: u32) -> Self {
        let first = FIRST_RUN + instance * BLOCK;
        let apart = u32::from(weaken::stands("user_ids"));
        Self((0..count.min(BLOCK)).map(|slot| first + slot * apart).collect())
    }

    /// Rootless: `count` times the one id there is.
    #[must_use]
    pub fn shared(count: u32) -> Self {
        Self((0..count).map(|_| 0).collect())
    }

    /// The id that was returned longest ago.
    pub fn take(&mut self) -> Option<u32> {
        self.0.pop_front()
    }

    /// Only once cgroup, mounts and processes are confirmed gone.
    pub fn give_back(&mut self, id: u32) {
        self.0.push_back(id);
    }

    /// Whether a run can start.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Refuses to start where subordinate ids or a user overlap with ours.
pub fn refuse_overlap() -> Result<(), Overlap> {
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = fs::read_to_string(file).unwrap_or_default();
        check(file, &text, |fields| match *fields {
            [_, first, count] => Some((first.parse().ok()?, count.parse().ok()?)),
            _ => None,
        })?;
    }
    for file in ["/etc/passwd", "/etc/group"] {
        let text = fs::read_to_string(file).unwrap_or_default();
        check(file, &text, |fields| Some((fields.get(2)?.parse().ok()?, 1)))?;
    }
    Ok(())
}

fn check(
    file: &'static str,
    text: &str,
    range: impl Fn(&[&str]) -> Option<(u64, u64)>,
) -> Result<(), Overlap> {
    let ours = u64::from(SERVER)..u64::from(FIRST_RUN + BLOCK * MOST_INSTANCES);
    for line in text.lines() {
        let fields: Vec<_> = line.split(':').collect();
        if let Some((first, count)) = range(&fields)
            && first < ours.end
            && first.saturating_add(count) > ours.start
        {
            return Err(Overlap { file, line: line.to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_id_comes_first() {
        let mut ids = RunIds::of_instance(1, 2);
        let first = ids.take().unwrap();
        ids.give_back(first);
        assert_ne!(ids.take(), Some(first));
    }

    #[test]
    fn a_subordinate_range_over_our_ids_is_refused() {
        let range =
            |fields: &[&str]| Some((fields[1].parse().unwrap(), fields[2].parse().unwrap()));
        assert!(check("/etc/subuid", "user:100000:65536", range).is_ok());
        assert!(check("/etc/subuid", "user:1999999000:65536", range).is_err());
    }
}
