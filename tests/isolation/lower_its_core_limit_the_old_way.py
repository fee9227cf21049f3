# proves: seccomp-run allow setrlimit resource
# stopped by: seccomp:setrlimit
import struct
RLIMIT_CORE = 4
wish = ctypes.create_string_buffer(struct.pack("2Q", 0, 0), 16)
result = call(160, RLIMIT_CORE, wish)
say(result == 0, f"setrlimit: {name(result)}")
