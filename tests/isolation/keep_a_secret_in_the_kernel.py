# proves: seccomp-run deny add_key
# stopped by: seccomp:add_key
# A key outlives the run that made it and is found by the next one with the same id.
result = call(248, b"user", b"primcs-test", b"x", 1, -3)
say(result > 0, f"add_key: {name(result)}")
