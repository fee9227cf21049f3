# proves: seccomp-run allow prlimit64 resource; seccomp-run allow prlimit64 new_limit
# stopped by: seccomp:prlimit64
# With a limit of 0 the kernel starts a piped core handler, as root of the host; with 1 it does not.
import struct
RLIMIT_CORE = 4
wish = ctypes.create_string_buffer(struct.pack("2Q", 0, 0), 16)
result = call(302, 0, RLIMIT_CORE, wish, 0)
say(result == 0, f"prlimit64: {name(result)}")
