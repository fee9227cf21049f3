# proves: seccomp-run deny splice; seccomp-run deny tee; seccomp-run deny vmsplice; seccomp-run deny sendfile; seccomp-run deny copy_file_range
# stopped by: seccomp:splice + seccomp:tee + seccomp:vmsplice + seccomp:sendfile + seccomp:copy_file_range
# A closed descriptor: the kernel says EBADF.
answers = {
    "splice": call(275, 999, 0, 999, 0, 1, 0),
    "tee": call(276, 999, 999, 1, 0),
    "vmsplice": call(278, 999, 0, 0, 0),
    "sendfile": call(40, 999, 999, 0, 1),
    "copy_file_range": call(326, 999, 0, 999, 0, 1, 0),
}
say_all({n: answer == -errno.EBADF for n, answer in answers.items()})
