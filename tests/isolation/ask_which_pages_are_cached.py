# proves: seccomp-run allow preadv2 flags; seccomp-run allow pwritev2 flags
# stopped by: seccomp:preadv2 + seccomp:pwritev2
# RWF_NOWAIT reads only what is cached: which parts of the shared files a neighbour has just used.
# Ours refuses without looking, even for a descriptor that is not open; the kernel would say EBADF.
RWF_NOWAIT, RWF_DONTCACHE = 8, 128
read = call(327, 999, 0, 0, 0, 0, RWF_NOWAIT)
write = call(328, 999, 0, 0, 0, 0, RWF_DONTCACHE)
say_all({"preadv2": read == -errno.EBADF, "pwritev2": write == -errno.EBADF})
