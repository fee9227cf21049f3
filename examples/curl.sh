#!/bin/sh
# Runs Python in PRIMCS with curl, in the protocol of 2026-07-28: one request, no session. With the
# progress token the answer is an event stream that shows output while the program runs.
#
#   sh curl.sh http://127.0.0.1:9000/mcp 'print(6 * 7)'
set -eu
url=$1 code=$2
python3 -c '
import json, sys
prefix = "io.modelcontextprotocol/"
meta = {prefix + "protocolVersion": "2026-07-28", prefix + "clientCapabilities": {},
        prefix + "clientInfo": {"name": "curl", "version": "1"}, "progressToken": 1}
params = {"name": "run_code", "arguments": {"code": sys.argv[1]}, "_meta": meta}
json.dump({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, sys.stdout)
' "$code" | curl --silent --show-error --no-buffer "$url" \
    --header 'Content-Type: application/json' \
    --header 'Accept: application/json, text/event-stream' \
    --header 'MCP-Protocol-Version: 2026-07-28' \
    --header 'Mcp-Method: tools/call' \
    --header 'Mcp-Name: run_code' \
    --data-binary @-
