# proves: seccomp-run deny mount
# stopped by: seccomp:mount + capabilities + landlock
# A file system of its own could cover what others trust.
os.makedirs("/tmp/point", exist_ok=True)
result = call(165, b"none", b"/tmp/point", b"tmpfs", 0, 0)
say(result == 0 and os.path.ismount("/tmp/point"), f"mount: {name(result)}")
