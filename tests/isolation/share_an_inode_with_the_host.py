# proves: mounts base
# stopped by: private_copy
# A cached page of the host's libc, changed by a kernel bug (Copy Fail, Dirty Frag, 2026), is the
# libc of the host's root. HOST["inodes"] are those of the host's own system.
import glob
seen = set()
for path in glob.glob("/usr/lib/x86_64-linux-gnu/*.so*") + glob.glob("/usr/bin/*") + [sys.executable]:
    found = os.stat(path) if os.path.exists(path) else None
    if found:
        seen.add((found.st_dev, found.st_ino))
shared = seen & {tuple(pair) for pair in HOST["inodes"]}
say(bool(shared), f"{len(seen)} inodes seen, {len(shared)} of them the host's")
