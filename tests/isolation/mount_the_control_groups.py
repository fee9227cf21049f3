# proves: seccomp-run deny mount
# stopped by: seccomp:mount + capabilities + landlock
# In them lies release_agent, which the host's root runs (CVE-2022-0492), and the run's own limits.
# Which of the two kinds a host gives away depends on what it mounts itself.
os.makedirs("/tmp/point", exist_ok=True)
kinds = {"cgroup2": None, "cgroup": b"memory"}
answers = {k: call(165, b"none", b"/tmp/point", k.encode(), 0, o) for k, o in kinds.items()}
found = os.path.exists("/tmp/point/cgroup.procs")
say(found, f"{ {k: name(a) for k, a in answers.items()} }, found: {os.listdir('/tmp/point')[:3]}")
