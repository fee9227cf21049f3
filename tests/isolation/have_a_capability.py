# proves: process privilege capabilities
# stopped by: capabilities
sets = {kind: status(kind) for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
say(any(int(value, 16) for value in sets.values()), str(sets))
