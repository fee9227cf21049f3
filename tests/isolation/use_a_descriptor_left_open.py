# proves: always descriptors
# stopped by: descriptors
# The three standard ones, and the one /proc is being read with; the runner's result pipe is a
# pipe. Anything else came from outside.
import stat
foreign = {}
for entry in os.listdir("/proc/self/fd"):
    try:
        kind = os.stat(int(entry)).st_mode
    except OSError:
        continue
    if int(entry) > 2 and not stat.S_ISFIFO(kind):
        target = os.readlink(f"/proc/self/fd/{entry}")
        if not target.startswith(("/workspace", "/proc")):
            foreign[entry] = target
say(bool(foreign), f"foreign descriptors: {foreign}")
