# proves: seccomp-run allow socket domain
# stopped by: seccomp:socket
# The type is one that does not exist: the kernel says EINVAL before it looks for the family, so
# this works alike whether the family is built in or not. Ours says EAFNOSUPPORT.
families = dict(AX25=3, X25=9, KEY=15, PACKET=17, PPPOX=24, RDS=21, CAN=29, TIPC=30, BLUETOOTH=31,
                RXRPC=33, ALG=38, NFC=39, VSOCK=40, KCM=41, QIPCRTR=42, SMC=43, XDP=44, MCTP=45)
answers = {n: call(41, family, 15, 0) for n, family in families.items()}
say_all({n: answer == -errno.EINVAL for n, answer in answers.items()})
