# proves: seccomp-run deny pivot_root
# stopped by: seccomp:pivot_root + capabilities + landlock
# /tmp as old and new root can never work: EINVAL or EBUSY says that the kernel got as far as
# looking at the mounts, past every permission.
result = call(155, b"/tmp", b"/tmp")
say(result in (-errno.EINVAL, -errno.EBUSY), f"pivot_root: {name(result)}")
