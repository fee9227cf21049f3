# proves: seccomp-run deny io_uring_setup
# stopped by: seccomp:io_uring_setup
# Work handed to a ring passes no filter.
result = call(425, 4, ctypes.create_string_buffer(256))
say(result >= 0, f"io_uring_setup: {name(result)}")
