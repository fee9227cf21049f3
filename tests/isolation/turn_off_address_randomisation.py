# proves: seccomp-run allow personality persona
# stopped by: seccomp:personality
ADDR_NO_RANDOMIZE = 0x40000
result = call(135, ADDR_NO_RANDOMIZE)
say(result >= 0, f"personality: {name(result)}")
