# proves: seccomp-run deny process_vm_readv; always init
# stopped by: seccomp:process_vm_readv + dumpable + landlock
# Address 16 is never mapped: EFAULT says that the permission was given.
import struct
here = ctypes.create_string_buffer(8)
local = ctypes.create_string_buffer(struct.pack("2Q", ctypes.addressof(here), 8), 16)
remote = ctypes.create_string_buffer(struct.pack("2Q", 16, 8), 16)
result = call(310, 1, local, 1, remote, 1, 0)
say(result == -errno.EFAULT or result > 0, f"process_vm_readv: {name(result)}")
