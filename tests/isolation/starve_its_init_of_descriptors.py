# proves: seccomp-run allow prlimit64 pid
# stopped by: seccomp:prlimit64
# Same id, so the kernel would let the program set limits of the init that reports on it.
import struct
RLIMIT_NOFILE = 7
wish = ctypes.create_string_buffer(struct.pack("2Q", 3, 3), 16)
result = call(302, 1, RLIMIT_NOFILE, wish, 0)
say(result == 0, f"prlimit64(1): {name(result)}")
