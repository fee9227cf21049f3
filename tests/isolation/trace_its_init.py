# proves: seccomp-run deny ptrace; always init
# stopped by: seccomp:ptrace + dumpable + landlock
# The init reports how the program ended; who writes its memory writes the report.
PTRACE_SEIZE = 0x4206
result = call(101, PTRACE_SEIZE, 1, 0, 0)
say(result == 0, f"ptrace: {name(result)}")
