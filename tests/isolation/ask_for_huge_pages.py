# proves: seccomp-run allow mmap flags
# stopped by: seccomp:mmap
# Huge pages are a pool of the host's outside memory.max. A size that does not exist is EINVAL
# for the kernel and ENOMEM for us.
MAP_PRIVATE, MAP_ANONYMOUS, MAP_HUGETLB, SIZE = 2, 32, 0x40000, 13 << 26
result = call(9, 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | SIZE, -1, 0)
say(result == -errno.EINVAL, f"mmap: {name(result)}")
