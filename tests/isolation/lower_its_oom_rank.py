# proves: mounts proc ro; process identity oom_score_adj; process landlock /proc
# stopped by: proc_read_only + landlock
# Where the host's root lacks CAP_SYS_RESOURCE the kernel itself lets a run lower it again. Where
# it refuses, it refuses the write (EACCES) and not the open, which is then past both walls.
try:
    rank = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    opened = True
    os.write(rank, b"0")
    answer = open("/proc/self/oom_score_adj").read().strip()
except OSError as refusal:
    opened, answer = "rank" in globals(), str(refusal)
say(opened, f"opened: {opened}, then: {answer}")
