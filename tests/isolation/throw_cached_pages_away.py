# proves: seccomp-run allow fadvise64 advice
# stopped by: seccomp:fadvise64
# One run emptied 3,404 pages that others shared. Ours succeeds without looking, even for a
# descriptor that is not open; the kernel would say EBADF.
result = call(221, 999, 0, 0, 4)
say(result == -errno.EBADF, f"fadvise64: {name(result)}")
