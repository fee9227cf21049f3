# proves: process namespace network
# stopped by: network
# The test listens on the host's 127.0.0.1: databases and cloud agents do the same.
with socket.socket() as client:
    client.settimeout(5)
    result = client.connect_ex(("127.0.0.1", HOST["port"]))
say(result == 0, f"connect: {name(-result)}")
