# proves: seccomp-run allow sendto flags
# stopped by: seccomp:sendto
# Data corked with MSG_MORE is memory that no cgroup is charged for (6 GB of a host in 27 seconds).
MSG_MORE = 0x8000
here, there = socket.socketpair()
result = call(44, here.fileno(), b"x", 1, MSG_MORE, 0, 0)
say(result == 1, f"sendto: {name(result)}")
