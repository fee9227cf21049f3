# proves: seccomp-run allow prctl option
# stopped by: seccomp:prctl
# PR_SET_SECCOMP with an unknown mode, PR_MCE_KILL with an unknown word, and no option at all: the
# kernel says EINVAL to each.
answers = {option: call(157, option, 99, 0, 0, 0) for option in (22, 33, 99999)}
say_all({option: answer != -errno.EPERM for option, answer in answers.items()})
