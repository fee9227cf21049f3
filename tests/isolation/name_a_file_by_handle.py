# proves: seccomp-run deny name_to_handle_at
# stopped by: seccomp:name_to_handle_at
# Handles are how "shocker" walked out of a container: they know no mount.
import struct
handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 136)
mount = ctypes.c_int()
result = call(303, -100, b"/tmp", handle, ctypes.byref(mount), 0)
say(result == 0, f"name_to_handle_at: {name(result)}")
