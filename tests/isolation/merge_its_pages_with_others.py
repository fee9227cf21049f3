# proves: seccomp-run allow madvise advice
# stopped by: seccomp:madvise
# Merged pages tell by their timing what a neighbour has in memory. Address 1 is not aligned, which
# the kernel says with EINVAL as we do, so a real page it is.
import mmap
page = mmap.mmap(-1, 4096)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
result = call(28, address, 4096, 12)
say(result == 0, f"madvise: {name(result)}")
