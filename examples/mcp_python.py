"""Runs Python in PRIMCS with the official Python SDK (mcp 2.x), streaming what it prints.

    python mcp_python.py http://127.0.0.1:9000/mcp 'print(6 * 7)'
    python mcp_python.py 'target/release/primcs stdio' 'print(6 * 7)'

A third word chooses the protocol: auto (default), legacy, or a version such as 2026-07-28.
"""

import asyncio
import shlex
import sys

from mcp import Client, StdioServerParameters


async def show(_progress: float, _total: float | None, message: str | None) -> None:
    print(message or "", end="", file=sys.stderr, flush=True)


async def main(target: str, code: str, mode: str = "auto") -> None:
    command, *arguments = shlex.split(target)
    over_http = target.startswith("http")
    server = target if over_http else StdioServerParameters(command=command, args=arguments)
    async with Client(server, mode=mode) as client:
        answer = await client.call_tool("run_code", {"code": code}, progress_callback=show)
    run = answer.structured_content
    print(run["stdout"], end="")
    print("status:", run["status"])


asyncio.run(main(*sys.argv[1:]))
