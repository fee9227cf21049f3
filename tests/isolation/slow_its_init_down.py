# proves: seccomp-run allow setpriority who
# stopped by: seccomp:setpriority
result = call(141, 0, 1, 19)
say(result == 0, f"setpriority(1): {name(result)}")
