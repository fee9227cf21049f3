# proves: process identity oom_score_adj
# stopped by: oom_score
# A run that ranks with the host's own processes lets the kernel end one of those instead.
rank = open("/proc/self/oom_score_adj").read().strip()
say(rank != "1000", f"oom_score_adj {rank}")
