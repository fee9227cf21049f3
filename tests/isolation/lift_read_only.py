# proves: seccomp-run deny mount; mounts proc ro
# stopped by: seccomp:mount + capabilities + landlock
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 2, 4, 8, 32, 4096
flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_REMOUNT | MS_BIND
result = call(165, 0, b"/proc", 0, flags, 0)
own = [l.split()[5] for l in open("/proc/self/mountinfo") if l.split()[4] == "/proc"][-1]
say(result == 0 and own.split(",")[0] == "rw", f"remount: {name(result)}, /proc is {own}")
