"""Sends code to the server in this container, and prints the structured result on one line."""

import json
import sys
import urllib.request

call = {"name": "run_code", "arguments": {"code": sys.argv[1], "timeout_s": 30}}
request = urllib.request.Request(
    "http://127.0.0.1:9000/mcp",
    json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode(),
    {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2025-06-18",
    },
)
answer = urllib.request.urlopen(request, timeout=60).read().decode()
# One message, plain or as an event.
message = answer if answer.startswith("{") else answer[answer.index("data: {") + 6 :]
result, _ = json.JSONDecoder().raw_decode(message.strip())
print(json.dumps(result["result"]["structuredContent"], separators=(",", ":")))
