# proves: mounts root.device *
# stopped by: own_devices
# The host's own node would be one inode for the host and all runs. Setting its times is what shows.
def refused(name):
    for act in (os.utime, lambda path: os.utime(path, (1, 1)), lambda path: os.chmod(path, 0o600)):
        try:
            act(name)
            return False
        except OSError as refusal:
            print(name, refusal, file=sys.stderr)
    return True


devices = ["/dev/" + name for name in ("null", "zero", "full", "random", "urandom")]
with open("/dev/null", "r+b", 0) as null, open("/dev/full", "wb", 0) as full:
    null.write(b"a device on a read-only mount can still be written to")
    try:
        full.write(b"x")
    except OSError as refusal:
        assert refusal.errno == errno.ENOSPC
say_all({name: not refused(name) for name in devices})
