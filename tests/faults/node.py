"""A real server that tells of each delivery, before it happens: `python -m tests.faults.node PLACE RUN`.

PLACE has the server's `data`; `node.lines` is written beside it. Content with `"kill": [n, …]` ends the process
when it is handed over as its n-th attempt: as a handler would that finds a way to.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import msgspec

from caxton.agents.wasm_runner import WasmRunner
from caxton.messages.codec import ANY_SIZE, decode_message
from caxton.server.node import serve
from tests.faults.history import Pen, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any


@contextmanager
def tapped(path: Path, run: int) -> Generator[Pen]:
    """In the block, every handler of this process tells what it is given and what it sends."""
    pen = Pen(path)
    real = WasmRunner.__init__

    def begin(runner: WasmRunner, *arguments: Any) -> None:
        real(runner, *arguments)
        vars(runner)["deliver"] = _deliver(pen, run, runner, runner.deliver)
        vars(runner)["send_message"] = _send(pen, run, runner, runner.send_message)

    with mock.patch.object(WasmRunner, "__init__", begin):
        try:
            yield pen
        finally:
            pen.close()


def _deliver(pen: Pen, run: int, runner: WasmRunner, deliver: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def tap(body: bytes) -> Any:
        message, envelope = decode_message(body, max_bytes=ANY_SIZE), runner.turn.envelope
        assert envelope is not None
        content: dict[str, Any] = msgspec.json.decode(message.content)
        if "t" in content:
            pen.write(
                "deliver", run, runner.turn.receiver.name, message.sender, message.message_id, envelope.seq,
                message.attempt, message.replayed, envelope.priority, content["t"], digest(message.content),
            )  # fmt: skip
        if message.attempt in content.get("kill", ()):
            os.kill(os.getpid(), signal.SIGKILL)
        return deliver(body)

    return tap


def _send(pen: Pen, run: int, runner: WasmRunner, send: Callable[[bytes], int]) -> Callable[[bytes], int]:
    def tap(data: bytes) -> int:
        message = decode_message(data)
        content = msgspec.json.decode(message.content)
        if isinstance(message.receiver, str):
            pen.write("send", run, runner.turn.receiver.name, message.receiver, content["t"], digest(message.content))
        return send(data)

    return tap


def main() -> int:
    place, run = Path(sys.argv[1]), int(sys.argv[2])
    with tapped(place / "node.lines", run) as pen:

        def ready(url: str, _data_dir: Path, token: str) -> None:
            pen.write("ready", run)
            sys.stdout.write(f"{url} {token}\n")
            sys.stdout.flush()

        return serve({"port": 0, "data_dir": str(place / "data"), "log.level": "error"}, on_ready=ready)


if __name__ == "__main__":
    sys.exit(main())
