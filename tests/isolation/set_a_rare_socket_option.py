# proves: seccomp-run allow setsockopt level; seccomp-run allow setsockopt optname
# stopped by: seccomp:setsockopt
# A value at address 0: the kernel says EFAULT or EPERM, and ours ENOPROTOOPT.
options = dict(ATTACH_FILTER=(1, 26), ATTACH_BPF=(1, 50), ZEROCOPY=(1, 60), ATTACH_REUSEPORT=(1, 51),
               UDP_ENCAP=(17, 100), TCP_ULP=(6, 31), TCP_REPAIR=(6, 19))
ours = errno.ENOPROTOOPT
answers = {}
for option, (level, number) in options.items():
    with socket.socket(type=socket.SOCK_DGRAM if level == 17 else socket.SOCK_STREAM) as one:
        answers[option] = call(54, one.fileno(), level, number, 0, 4)
print({n: name(a) for n, a in answers.items()}, file=sys.stderr)
with socket.socket() as one:
    program = ctypes.create_string_buffer(bytes([6, 0, 0, 0, 255, 255, 0, 0]), 8)
    import struct
    wish = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 1, ctypes.addressof(program)), 16)
    answers["a whole filter"] = call(54, one.fileno(), 1, 26, wish, 16)
say_all({n: answer == 0 or answer != -ours for n, answer in answers.items()})
