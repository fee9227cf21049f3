# proves: seccomp-run allow sendto flags
# stopped by: seccomp:sendto
# Pages of files in socket buffers are the last step of the page-cache bugs of 2026.
MSG_ZEROCOPY = 0x4000000
here, there = socket.socketpair()
result = call(44, here.fileno(), b"x", 1, MSG_ZEROCOPY, 0, 0)
say(result == 1, f"sendto: {name(result)}")
