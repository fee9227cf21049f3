# proves: process privilege new_session_keyring; seccomp-run deny keyctl
# stopped by: keyring + seccomp:keyctl
# Keyrings are in no namespace. A session keyring made for the run is its own and called _ses; any
# other is somebody else's, readable or not.
KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING = 6, -3
text = ctypes.create_string_buffer(200)
result = call(250, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, text, 200)
kind = text.value.decode(errors="replace").split(";")
foreign = result in (-errno.EACCES, -errno.ENOKEY) or (result > 0 and kind[1:2] + kind[-1:] != ["1000", "_ses"])
say(foreign, f"keyctl: {name(result)}, {kind}")
