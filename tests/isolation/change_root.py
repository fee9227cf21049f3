# proves: seccomp-run deny chroot
# stopped by: seccomp:chroot + capabilities
# A second root inside the first is how programs with a descriptor outside climb out.
result = call(161, b"/tmp")
say(result == 0, f"chroot: {name(result)}")
