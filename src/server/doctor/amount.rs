//! Amounts as people read them.
#![forbid(unsafe_code)]

use crate::wire::LimitsInForce;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// `1 GiB`, `7.8 GiB`, `938 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    if bytes.is_multiple_of(GIB) && bytes > 0 {
        return format!("{} GiB", bytes / GIB);
    }
    if bytes > 2 * GIB {
        let tenths = bytes / (GIB / 10);
        return format!("{}.{} GiB", tenths / 10, tenths % 10);
    }
    format!("{} MiB", bytes / MIB)
}

/// The numbers that hold for every run, and what has none.
pub(super) fn each_run(limits: &LimitsInForce) -> String {
    let unless_soft = |value: Option<String>, what: &str| {
        value.map_or_else(|| format!("{what} NOT LIMITED"), |value| format!("{value} {what}"))
    };
    let cores = |millis: u64| match millis % 1000 {
        0 => (millis / 1000).to_string(),
        rest => format!("{}.{:03}", millis / 1000, rest),
    };
    format!(
        "{} s, {}, {}, {}, {} and {} files of disk, {} open files",
        limits.wall_ms / 1000,
        unless_soft(limits.memory_bytes.map(bytes), "memory"),
        unless_soft(limits.pids.map(|pids| pids.to_string()), "processes"),
        unless_soft(limits.cpu_millicores.map(cores), "CPU"),
        bytes(limits.disk_bytes),
        limits.disk_inodes,
        limits.open_files
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_no_raw_numbers() {
        assert_eq!(bytes(GIB), "1 GiB");
        assert_eq!(bytes(983_564_288), "938 MiB");
        assert_eq!(bytes(GIB * 78 / 10), "7.8 GiB");
        assert_eq!(bytes(0), "0 MiB");
    }

    #[test]
    fn a_limit_that_nobody_enforces_shows_no_number() {
        let mut limits = LimitsInForce {
            hard: true,
            wall_ms: 60_000,
            memory_bytes: Some(GIB),
            pids: Some(128),
            cpu_millicores: Some(1000),
            disk_bytes: 512 * MIB,
            disk_inodes: 65_536,
            open_files: 1024,
        };
        assert!(each_run(&limits).starts_with("60 s, 1 GiB memory, 128 processes, 1 CPU, 512 MiB"));
        (limits.memory_bytes, limits.pids, limits.cpu_millicores) = (None, None, None);
        let soft = each_run(&limits);
        assert_eq!(soft.matches("NOT LIMITED").count(), 3, "{soft}");
        assert!(soft.contains("60 s") && soft.contains("1024 open files"), "{soft}");
    }
}
