"""Runs Python in PRIMCS with fastmcp 4.0, streaming what it prints.

    python fastmcp_4.py http://127.0.0.1:9000/mcp 'print(6 * 7)'
    python fastmcp_4.py 'target/release/primcs stdio' 'print(6 * 7)'
"""

import asyncio
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
    run = answer.structured_content
    print(run["stdout"], end="")
    print("status:", run["status"])


asyncio.run(main(*sys.argv[1:]))
