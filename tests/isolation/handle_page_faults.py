# proves: seccomp-run deny userfaultfd
# stopped by: seccomp:userfaultfd
# Holding a page fault open is the usual way to win a race in the kernel.
UFFD_USER_MODE_ONLY = 1
result = call(323, UFFD_USER_MODE_ONLY)
say(result >= 0, f"userfaultfd: {name(result)}")
