# proves: seccomp-run deny pivot_root
# stopped by: seccomp:pivot_root + capabilities + landlock
# EINVAL or EBUSY, where the kernel does not like these two directories, come after every permission.
result = call(155, b"/tmp", b"/tmp")
say(result in (0, -errno.EINVAL, -errno.EBUSY), f"pivot_root: {name(result)}")
