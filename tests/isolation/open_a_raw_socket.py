# proves: seccomp-run allow socket type; process privilege capabilities
# stopped by: seccomp:socket + capabilities
result = call(41, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
say(result >= 0, f"socket: {name(result)}")
