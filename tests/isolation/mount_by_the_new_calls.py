# proves: seccomp-run deny fsopen
# stopped by: seccomp:fsopen + capabilities
# The second door to the same: fsopen, fsconfig, fsmount, move_mount.
result = call(430, b"tmpfs", 0)
say(result >= 0, f"fsopen: {name(result)}")
