# proves: seccomp-run allow socket domain
# stopped by: seccomp:socket
# nf_tables and XFRM, a steady source of kernel bugs, are spoken to over netlink.
NETLINK_ROUTE = 0
result = call(41, 16, socket.SOCK_RAW, NETLINK_ROUTE)
say(result >= 0, f"socket: {name(result)}")
