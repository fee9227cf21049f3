# proves: seccomp-run allow sched_setaffinity pid
# stopped by: seccomp:sched_setaffinity
mask = ctypes.create_string_buffer(b"\1" + bytes(127), 128)
result = call(203, 1, 128, mask)
say(result == 0, f"sched_setaffinity(1): {name(result)}")
