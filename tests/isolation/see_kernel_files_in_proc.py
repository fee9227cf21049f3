# proves: mounts proc cover
# stopped by: proc_masks
# Each of these is a regular file when the kernel shows it and a device or nothing when masked.
# What a reader finds there is then up to file modes alone: /proc/cmdline is the host's for all.
import stat
suspects = "cmdline kcore keys kallsyms modules interrupts partitions sysrq-trigger timer_list " \
    "slabinfo vmstat zoneinfo pagetypeinfo config.gz kmsg locks diskstats iomem"
shown = []
for entry in suspects.split():
    try:
        if stat.S_ISREG(os.stat("/proc/" + entry).st_mode) and os.path.exists("/proc/" + entry):
            if not os.path.ismount("/proc/" + entry):
                shown.append(entry)
    except OSError:
        pass
say(bool(shown), f"shown: {shown}")
