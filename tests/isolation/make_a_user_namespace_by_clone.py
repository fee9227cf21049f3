# proves: seccomp-run allow clone flags
# stopped by: seccomp:clone
NEWUSER, SIGCHLD = 0x10000000, 17
result = call(56, NEWUSER | SIGCHLD, 0, 0, 0, 0)
if result == 0:
    os._exit(7)
ended = os.waitpid(result, 0)[1] if result > 0 else None
say(ended is not None and os.waitstatus_to_exitcode(ended) == 7, f"clone: {name(result)}")
