#!/bin/sh
# Runs Python in PRIMCS with the MCP Inspector's command line (needs Node 22.19 or newer). It waits
# for the result, prints it as JSON and does not show progress.
#
#   sh inspector.sh http://127.0.0.1:9000/mcp 'print(6 * 7)'
#   sh inspector.sh 'target/release/primcs stdio' 'print(6 * 7)'
set -eu
target=$1 code=$2
case $target in
http*) set -- "$target" --transport http ;;
*) set -- $target ;; # a command line: its words are wanted apart
esac
exec npx mcp-inspector --cli "$@" --method tools/call --tool-name run_code --tool-arg "code=$code"
