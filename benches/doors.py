"""One print(1) through each door, against the bare interpreter, interleaved in one run.

    make bench            (python3 benches/doors.py PROGRAM ROUNDS, by hand)

Every answer is checked: status ok, the right output, hard limits and a seccomp filter in force.
Figures are milliseconds: minimum, median, and the ratio of medians to the bare interpreter.
"""

import http.client
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAM, ROUNDS = sys.argv[1], int(sys.argv[2])
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Mcp-Name": "run_code",
}


def request(code):
    call = {"name": "run_code", "arguments": {"code": code}, "_meta": META}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})


def check(answer, stdout="1\n"):
    result = answer["result"]["structuredContent"]
    assert result["status"] == "ok" and stdout in (None, result["stdout"]), answer
    assert result["limits"]["hard"], "limits are not hard: this would not be a fair figure"
    return result["stdout"]


def start(door, state, *arguments):
    command = [PROGRAM, door, "--state-dir", state, *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def main():
    state = tempfile.mkdtemp(prefix="primcs-bench-")
    server = start("serve", state, "--listen", "127.0.0.1:0")
    port = next(m[1] for m in (re.search(r"127\.0\.0\.1:(\d+)/mcp", l) for l in server.stderr) if m)
    connection = http.client.HTTPConnection("127.0.0.1", int(port))
    stdio = start("stdio", state)

    def over_http(code="print(1)", stdout="1\n"):
        connection.request("POST", "/mcp", request(code), HEADERS)
        return check(json.loads(connection.getresponse().read()), stdout)

    def over_stdio():
        stdio.stdin.write(request("print(1)") + "\n")
        stdio.stdin.flush()
        check(json.loads(stdio.stdout.readline()))

    confined = "print([l.split()[1] for l in open('/proc/self/status') if l.startswith('Seccomp:')])"
    over_http(confined, "['2']\n")
    bare_python = over_http("import os, sys; print(os.path.realpath(sys.executable))", None).strip()
    ways = {
        "bare python3 -c": lambda: subprocess.run([bare_python, "-c", "print(1)"], stdout=subprocess.DEVNULL, check=True),
        "bare python3 -I -c": lambda: subprocess.run([bare_python, "-I", "-c", "print(1)"], stdout=subprocess.DEVNULL, check=True),
        "MCP over HTTP": over_http,
        "MCP over stdio": over_stdio,
        "primcs run (own supervisor)": lambda: subprocess.run([PROGRAM, "run", "--state-dir", state, "-c", "print(1)"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True),
    }
    times = {name: [] for name in ways}
    for _ in range(ROUNDS):
        # In another order each time: what ran just before warms caches and kernel alike.
        for name, way in random.sample(list(ways.items()), len(ways)):
            begin = time.perf_counter()
            way()
            times[name].append((time.perf_counter() - begin) * 1000)
    bare = statistics.median(times["bare python3 -c"])
    print(f"{bare_python}, {ROUNDS} rounds, load {os.getloadavg()[0]:.1f}")
    for name, all_of_it in times.items():
        median = statistics.median(all_of_it)
        print(f"{name:28} min {min(all_of_it):7.1f}  median {median:7.1f}  x{median / bare:.2f}")
    stdio.stdin.close()
    server.terminate()


main()
