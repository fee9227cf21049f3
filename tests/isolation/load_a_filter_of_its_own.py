# proves: seccomp-run deny seccomp
# stopped by: seccomp:seccomp
# A filter with a listener on a child is a way to answer its calls. EFAULT: the kernel read on.
SECCOMP_SET_MODE_FILTER = 1
result = call(317, SECCOMP_SET_MODE_FILTER, 0, 0)
say(result == -errno.EFAULT, f"seccomp: {name(result)}")
