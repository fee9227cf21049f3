# proves: seccomp-run deny unshare
# stopped by: seccomp:unshare
# In a user namespace of its own a process has every capability, and the kernel that many more doors.
result = call(272, 0x10000000)
say(result == 0 and int(status("CapEff"), 16) != 0, f"unshare: {name(result)}, {status('CapEff')}")
