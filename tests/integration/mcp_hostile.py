"""An MCP server over stdio without any SDK, which does on demand what no server should.

`python mcp_hostile.py [HABIT…]`; habits: see `main`. Other misbehaviour is by the name of the tool that is called.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

TOOLS = ("echo", "again", "big")
REVISION = "2025-06-18"

_out = sys.stdout.buffer
_description = "repeats"
_cancelled: list[Any] = []
_late: list[Any] = []


def write(data: bytes) -> None:
    _out.write(data)
    _out.flush()


def send(**fields: Any) -> None:
    write(json.dumps({"jsonrpc": "2.0", **fields}).encode() + b"\n")


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def answer(number: Any, text: str = "ok") -> None:
    send(id=number, result={"content": [{"type": "text", "text": text}]})


def hang() -> None:
    """Read nothing any more, not even the end of the input."""
    say("hangs")
    while True:
        time.sleep(1000)


def endless() -> None:
    while True:
        _out.write(b"x" * 65536)


def leave_child(*, own_session: bool = False) -> int:
    """A process that holds our output open and outlives us."""
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(1000)"], stdin=subprocess.DEVNULL, start_new_session=own_session
    )
    return child.pid


def change() -> None:
    global _description
    _description = "repeats, and tells the others"
    send(method="notifications/tools/list_changed")


def called(number: Any, name: str, arguments: dict[str, Any]) -> None:
    match name:
        case "echo":
            answer(number, json.dumps(arguments))
        case "hang":
            hang()
        case "silent":
            say("is silent")
        case "die":
            os._exit(3)
        case "half":
            write(b'{"jsonrpc":"2.0","id":%d,"result":{"cont' % number)
            os._exit(4)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "close":
            os.close(1)
            hang()
        case "endless":
            endless()
        case "big":
            answer(number, "x" * arguments["bytes"])
        case "utf8":
            write(b"\xff\xfe no text\n")
            answer(number)
        case "utf8_answer":
            write(b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"\xff"}]}}\n' % number)
        case "logs":
            write(b'INFO: working\n{"half": \n\n[1,2]\n"text"\n')
            answer(number)
        case "wrong_id":
            answer(99999)
        case "shape":
            send(id=number, result={"content": "none"})
        case "refuse":
            send(id=number, error={"code": -32602, "message": "secret text of the server"})
        case "input":
            send(id=number, result={"resultType": "input_required", "inputRequests": {}})
        case "late":
            _late.append(number)
            say("will be late")
        case "answer_late":
            for late in _late:
                answer(late, "late")
            answer(number, json.dumps(_cancelled))
        case "flood":
            notice = b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n'
            write(notice * arguments["notices"])
            answer(number)
        case "progress":
            for _ in range(arguments["times"]):
                send(method="notifications/progress", params={"progressToken": number, "progress": 1})
            say("made progress")
        case "change":
            change()
            answer(number)
        case "child":
            answer(number, str(leave_child()))
        case "orphan":
            say(f"orphan {leave_child(own_session=True)}")
            os._exit(0)
        case _:
            send(id=number, error={"code": -32601, "message": "no"})


def listed(number: Any, params: dict[str, Any], habits: set[str]) -> None:
    schema = {"type": "object"}
    result: dict[str, Any] = {"tools": [{"name": n, "description": _description, "inputSchema": schema} for n in TOOLS]}
    if "pages" in habits:
        result["nextCursor"] = "again"
    elif "many" in habits:
        result["tools"] = [{"name": f"t{n}", "inputSchema": schema} for n in range(2000)]
    elif "bad_list" in habits:
        result = {"tools": [{"name": 7}]}
    send(id=number, result=result)


def initialized(number: Any, habits: set[str]) -> None:
    if "hang_first" in habits:
        hang()
    if "die_first" in habits:
        os._exit(5)
    revision = "1999-01-01" if "antique" in habits else REVISION
    info = {"name": "hostile", "version": "1"}
    send(
        id=number,
        result={"protocolVersion": revision, "capabilities": {"tools": {"listChanged": True}}, "serverInfo": info},
    )


def main(habits: set[str]) -> None:
    if "deaf" in habits:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "greets" in habits:
        write(b"starting up...\n")
    for line in sys.stdin.buffer:
        message = json.loads(line)
        number: Any = message.get("id")
        params: dict[str, Any] = message.get("params") or {}
        match message["method"]:
            case "initialize":
                initialized(number, habits)
            case "tools/list":
                listed(number, params, habits)
            case "tools/call":
                called(number, params["name"], params.get("arguments") or {})
            case "notifications/cancelled":
                _cancelled.append(params["requestId"])
                say("was told")
            case _ if number is not None:
                send(id=number, error={"code": -32601, "message": "no"})
            case _:
                pass
    if "deaf" in habits:
        hang()


if __name__ == "__main__":
    main(set(sys.argv[1:]))
