# proves: seccomp-run allow prctl by option
# stopped by: seccomp:prctl
# PR_SET_SECCOMP with an unknown mode, PR_GET_SECUREBITS and an option that does not exist.
answers = {option: call(157, option, 99, 0, 0, 0) for option in (22, 27, 99999)}
say_all({option: answer != -errno.EPERM for option, answer in answers.items()})
