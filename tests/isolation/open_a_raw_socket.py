# proves: seccomp-run allow socket when type is STREAM or DGRAM
# stopped by: seccomp:socket + capabilities
result = call(41, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
say(result >= 0, f"socket: {name(result)}")
