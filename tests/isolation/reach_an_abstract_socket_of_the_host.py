# proves: process namespace network
# stopped by: network
# Abstract names (dbus, containerd) have no file that a mount namespace could hide.
with socket.socket(socket.AF_UNIX) as client:
    result = client.connect_ex("\0" + HOST["abstract"])
say(result == 0, f"connect: {name(-result)}")
