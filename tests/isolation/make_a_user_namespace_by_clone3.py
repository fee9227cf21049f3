# proves: seccomp-run deny clone3
# stopped by: seccomp:clone3
# Its flags lie behind a pointer, where a filter cannot look; so the whole call is closed.
import struct
NEWUSER, SIGCHLD = 0x10000000, 17
arguments = struct.pack("8Q", NEWUSER, 0, 0, 0, SIGCHLD, 0, 0, 0)
result = call(435, ctypes.create_string_buffer(arguments, 64), 64)
if result == 0:
    os._exit(7)
ended = os.waitpid(result, 0)[1] if result > 0 else None
say(ended is not None and os.waitstatus_to_exitcode(ended) == 7, f"clone3: {name(result)}")
