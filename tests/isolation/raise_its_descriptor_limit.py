# proves: limits rlimit nofile
# stopped by: rlimits
import resource
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    raised = True
except (OSError, ValueError) as refusal:
    raised = False
say(raised, f"RLIMIT_NOFILE {resource.getrlimit(resource.RLIMIT_NOFILE)}")
