# proves: seccomp-run architecture
# stopped by: seccomp
# `int 0x80` enters the kernel with the i386 numbers, where 20 is getpid. In a child, which dies.
import mmap
child = os.fork()
if child == 0:
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex("53b814000000cd805bc3"))
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    answer = ctypes.CFUNCTYPE(ctypes.c_long)(address)()
    os._exit(7 if answer == os.getpid() else 8)
ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
say(ended == 7, f"child ended with {ended}")
