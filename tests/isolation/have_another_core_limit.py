# proves: limits rlimit core
# stopped by: rlimit_core
import resource
limit = resource.getrlimit(resource.RLIMIT_CORE)
say(limit != (1, 1), f"RLIMIT_CORE {limit}")
