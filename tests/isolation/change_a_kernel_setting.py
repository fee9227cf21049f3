# proves: mounts proc ro; mounts proc cover
# stopped by: proc_read_only + proc_masks + capabilities + landlock
# net/ settings belong to the network namespace, so its owner may write them when /proc lets it.
try:
    with open("/proc/sys/net/ipv4/ip_forward", "w") as setting:
        setting.write("1")
    answer = open("/proc/sys/net/ipv4/ip_forward").read().strip()
except OSError as refusal:
    answer = str(refusal)
say(answer == "1", f"ip_forward: {answer}")
