"""Runs Python in PRIMCS with fastmcp 2.9.2 and mcp 1.9.4, the clients of the first PRIMCS.

    python fastmcp_2.py http://127.0.0.1:9000/mcp 'print(6 * 7)'
    python fastmcp_2.py 'target/release/primcs stdio' 'print(6 * 7)'

They post to /mcp/ and speak protocol 2025-03-26, which has no structured results: the whole
result arrives as JSON in the first text block.
"""

import asyncio
import json
import shlex
import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport


async def show(_progress: float, _total: float | None, message: str | None) -> None:
    print(message or "", end="", file=sys.stderr, flush=True)


async def main(target: str, code: str) -> None:
    command, *arguments = shlex.split(target)
    server = target if target.startswith("http") else StdioTransport(command, arguments)
    async with Client(server) as client:
        answer = await client.call_tool("run_code", {"code": code}, progress_handler=show)
    run = json.loads(answer[0].text)
    print(run["stdout"], end="")
    print("status:", run["status"])


asyncio.run(main(*sys.argv[1:]))
