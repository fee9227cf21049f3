# proves: seccomp-run otherwise; seccomp-run deny bpf; seccomp-run deny clock_settime; seccomp-run deny fanotify_init; seccomp-run deny io_uring_enter; seccomp-run deny io_uring_register; seccomp-run deny kcmp; seccomp-run deny keyctl; seccomp-run deny landlock_create_ruleset; seccomp-run deny mlockall; seccomp-run deny modify_ldt; seccomp-run deny mount; seccomp-run deny mount_setattr; seccomp-run deny pidfd_getfd; seccomp-run deny process_madvise; seccomp-run deny process_vm_writev; seccomp-run deny ptrace; seccomp-run deny request_key; seccomp-run deny set_mempolicy; seccomp-run deny umount2; seccomp-run deny unshare
# stopped by: seccomp
# Each with arguments that the kernel refuses with another errno than ours, so that its answer shows
# that it was asked. Calls that it would refuse with EPERM too are held by src/policy's own test.
DENIED = (-errno.EPERM, -errno.ENOSYS)
answers = {
    "bpf": call(321, 0, 0, 8192),
    "clock_settime": call(227, 99, 0),
    "fanotify_init": call(300, 0x200, 0),
    "io_uring_enter": call(426, 999, 0, 0, 0, 0, 0),
    "io_uring_register": call(427, 999, 0, 0, 0),
    "kcmp": call(312, os.getpid(), os.getpid(), 1, 0, 0),
    "keyctl": call(250, 999, 0, 0, 0, 0),
    "landlock_create_ruleset": call(444, 0, 0, 1),
    "mlockall": call(151, 0),
    "modify_ldt": call(154, 0, ctypes.create_string_buffer(16), 16),
    "mount": call(165, 8, 8, 8, 0, 0),
    "mount_setattr": call(442, -100, b"", 0, 0, 0),
    "openat2": call(437, -100, b"/", 0, 0),
    "pidfd_getfd": call(438, 999, 0, 1),
    "process_madvise": call(440, 999, 0, 0, 20, 1),
    "process_vm_writev": call(311, os.getpid(), 0, 0, 0, 0, 1),
    "ptrace": call(101, 1, 99999999, 0, 0),
    "request_key": call(249, 0, 0, 0, 0),
    "set_mempolicy": call(238, 99, 0, 0),
    "umount2": call(166, b"/", 0x10000),
    "unshare": call(272, 1),
}
print({n: name(a) for n, a in answers.items()}, file=sys.stderr)
say_all({n: answer not in DENIED for n, answer in answers.items()})
