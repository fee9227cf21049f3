# proves: seccomp-run deny setns
# stopped by: seccomp:setns
# Entering its own user namespace is the one thing the kernel answers with EINVAL before it asks
# for a capability: so the call has arrived.
own = os.open("/proc/self/ns/user", os.O_RDONLY)
result = call(308, own, 0x10000000)
say(result == -errno.EINVAL, f"setns: {name(result)}")
