# proves: seccomp-run deny umount2; mounts proc cover
# stopped by: seccomp:umount2 + capabilities + landlock
# The masks over /proc belong to the run's own mount namespace; only "no capability" and the
# filter keep them in place (security: the walls that are not inherited locked).
masks = [line.split()[4] for line in open("/proc/self/mountinfo")]
masks = [m for m in masks if m.startswith("/proc/") and not m.startswith("/proc/sys")]
results = {m: call(166, m.encode(), 2) for m in masks}
say(any(r == 0 for r in results.values()), str({m: name(r) for m, r in results.items()}))
