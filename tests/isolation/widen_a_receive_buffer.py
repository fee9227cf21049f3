# proves: seccomp-run allow setsockopt optname
# stopped by: seccomp:setsockopt
# SO_RCVBUF on a listener lets each connection that nobody accepts hold megabytes charged to nobody
# (900 of them held 2 GB of a host's memory).
listener = socket.socket()
size = ctypes.c_int(1 << 20)
result = call(54, listener.fileno(), 1, 8, ctypes.byref(size), 4)
say(result == 0, f"setsockopt: {name(result)}")
