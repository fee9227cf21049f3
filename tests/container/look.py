"""Run by tests/container/image: what a run can see of the container that must not be there."""

import os
import socket

seen = []
for path in ("/usr/libexec/primcs", "/var/lib/primcs", "/run/.containerenv", "/etc/shadow", "/sys/fs/cgroup"):
    if os.path.lexists(path):
        seen.append(path)
commands = [open(f"/proc/{pid}/cmdline").read() for pid in os.listdir("/proc") if pid.isdigit()]
seen += [one for one in commands if "serve" in one or "supervisor" in one]
for name in ("unshare", "setns"):
    try:
        getattr(os, name, lambda *_: os.open("/proc/1/mem", os.O_RDWR))(*((0x10000000,) if name == "unshare" else (0, 0)))
        seen.append(name)
    except OSError:
        pass
try:
    socket.create_connection(("127.0.0.1", 9000), timeout=2)
    seen.append("the server's port")
except OSError:
    pass
print(" ".join(seen) or "nothing")
