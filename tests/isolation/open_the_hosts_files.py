# proves: mounts root; always descriptors
# stopped by: descriptors + landlock
# By name from the root, and by every directory descriptor that came along (runc 2024-21626).
roots = ["/"]
for entry in os.listdir("/proc/self/fd"):
    if int(entry) > 2 and os.path.isdir(f"/proc/self/fd/{entry}"):
        roots.append(f"/proc/self/fd/{entry}/")
found = []
for root in roots:
    for path in HOST["files"]:
        try:
            os.stat(root + path)
            os.close(os.open(root + path, os.O_RDONLY))
            found.append(root + path)
        except OSError:
            pass
say(bool(found), f"roots {roots}, opened {found}")
