# proves: seccomp-run allow socket protocol
# stopped by: seccomp:socket
# 250 is no protocol: the kernel says EPROTONOSUPPORT, ours EAFNOSUPPORT. SCTP, DCCP, MPTCP and
# L2TP are reached the same way where they are built in.
answers = {p: call(41, socket.AF_INET, socket.SOCK_STREAM, p) for p in (250, 132, 33)}
say_all({p: answer != -errno.EAFNOSUPPORT for p, answer in answers.items()})
