# proves: seccomp-run allow ioctl request
# stopped by: seccomp:ioctl
# TIOCSTI types into the terminal of whoever started us (CVE-2017-5226), also with high bits set,
# which the kernel drops. The answer for a descriptor that is not open is EBADF.
answers = {number: call(16, 999, number, 0) for number in (0x5412, 0x1_0000_5412, 0x541C, 0x5423)}
say_all({number: answer == -errno.EBADF for number, answer in answers.items()})
