# proves: seccomp-run deny perf_event_open
# stopped by: seccomp:perf_event_open
import struct
SOFTWARE, CPU_CLOCK, EXCLUDE_KERNEL_AND_HV = 1, 0, 1 << 5 | 1 << 6
wish = struct.pack("2I4Q", SOFTWARE, 128, CPU_CLOCK, 0, 0, 0) + struct.pack("Q", EXCLUDE_KERNEL_AND_HV)
result = call(298, ctypes.create_string_buffer(wish, 128), 0, -1, -1, 0)
say(result >= 0, f"perf_event_open: {name(result)}")
