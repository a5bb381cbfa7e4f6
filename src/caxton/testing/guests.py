"""Guests for tests: compiled from text in this process, and a host that writes down what they ask for."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import wasmtime

from caxton.sandbox.codes import INVALID, NOT_FOUND, OK
from caxton.sandbox.module import Module

if TYPE_CHECKING:
    from collections.abc import Generator

    from caxton.sandbox.engine import Engine
    from caxton.sandbox.guest import Guest
    from caxton.sandbox.trap import Trap

T = TypeVar("T")

ROOT = Path(__file__).parents[3]
GUESTS = ROOT / "tests" / "guests"
EXAMPLES = ROOT / "examples"


@cache
def assemble(text: str) -> bytes:
    """WebAssembly from its text."""
    return bytes(wasmtime.wat2wasm(text))


def guest(name: str) -> bytes:
    """WebAssembly of `tests/guests/NAME.wat`."""
    return assemble((GUESTS / f"{name}.wat").read_text(encoding="utf-8"))


def example(name: str) -> bytes:
    """The committed `examples/NAME.wasm`."""
    return (EXAMPLES / f"{name}.wasm").read_bytes()


def everything() -> list[bytes]:
    """Every guest and every example."""
    guests = [guest(path.stem) for path in sorted(GUESTS.glob("*.wat"))]
    return guests + [path.read_bytes() for path in sorted(EXAMPLES.glob("*.wasm"))]


def guest_text(*, imports: str = "", handle: str = "i32.const 0", more: str = "", memory: str = "2") -> str:
    """Text of a small guest that takes messages up to 64 KiB.

    Args:
        imports: import lines; they come first.
        handle: body of `handle_message`; it may use `$ptr` and `$len`.
        more: further functions, data and exports.
        memory: pages of memory, as in `2` or `2 16`.
    """
    return f"""(module
  {imports}
  (memory (export "memory") {memory})
  (func $caxton_alloc (export "caxton_alloc") (param i32) (result i32)
    (select (i32.const 65536) (i32.const 0) (i32.le_u (local.get 0) (i32.const 65536))))
  (func $handle_message (export "handle_message") (param $ptr i32) (param $len i32) (result i32)
    {handle})
  {more})"""


SINK_ME = r'(data (i32.const 16) "{\"performative\":\"inform\",\"receiver\":\"sink\"}")'
SINK_ME_BYTES = len('{"performative":"inform","receiver":"sink"}')
"""Data at 16: a message to the agent `sink`, and its length."""

SLOW_ROUNDS = """(local $left i32) (local.set $left (i32.const 120000000))
    (loop $again (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))"""
"""Takes several slices, well under a second."""

SLOW_INIT = assemble(
    guest_text(
        imports='(import "caxton" "send_message" (func $send (param i32 i32) (result i32)))',
        more=f"""{SINK_ME} (func (export "agent_init") (result i32)
            {SLOW_ROUNDS} (drop (call $send (i32.const 16) (i32.const {SINK_ME_BYTES}))) i32.const 0)""",
    )
)
"""Takes several slices to start, and then sends to the sink."""

STARTS_ONCE = assemble(
    guest_text(
        imports="""(import "caxton" "kv_get" (func $kv_get (param i32 i32) (result i32)))
            (import "caxton" "kv_set" (func $kv_set (param i32 i32 i32 i32) (result i32)))""",
        handle="(drop (call $kv_set (i32.const 80) (i32.const 4) (i32.const 80) (i32.const 4))) i32.const 0",
        more="""(data (i32.const 80) "bomb")
            (func (export "agent_init") (result i32)
              (if (i32.ge_s (call $kv_get (i32.const 80) (i32.const 4)) (i32.const 0)) (then unreachable))
              i32.const 0)""",
    )
)
"""Starts well until it has got its first message; every later start traps."""


def load(engine: Engine, wasm: bytes) -> Module:
    """Compile `wasm` right here, without the child process and its limits."""
    return Module(engine, bytes(wasmtime.Module(engine.wasmtime_engine, wasm).serialize()))


def to_end(steps: Generator[None, None, T]) -> T:
    """Run a guest's call, slice after slice, with nobody in between."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def handle(guest: Guest, body: bytes = b"{}") -> int | Trap:
    """Hand one message over and run its handler to the end."""
    result = guest.deliver(body)
    while result is None:
        result = guest.resume()
    return result


class RecordingHost:
    """`sandbox.host.Host` whose every answer is known."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.lines: list[tuple[int, bytes, str]] = []
        """Level, text and source."""
        self.kv: dict[bytes, bytes] = {}
        self.topics: set[bytes] = set()
        self.timers: dict[int, int] = {}
        """Id → delay in µs."""
        self.wall_us = 1_700_000_000_000_000

    def send_message(self, data: bytes) -> int:
        """Takes anything but nothing."""
        if not data:
            return INVALID
        self.sent.append(data)
        return OK

    def log(self, level: int, text: bytes, source: str) -> None:
        """Keep the line."""
        self.lines.append((level, text, source))

    def now_us(self) -> int:
        """Always `wall_us`."""
        return self.wall_us

    def random(self, count: int, /) -> bytes:
        """Not random: every byte is 0xA5."""
        return b"\xa5" * count

    def set_timer(self, delay_us: int) -> int:
        """Ids from 1."""
        timer_id = len(self.timers) + 1
        self.timers[timer_id] = delay_us
        return timer_id

    def cancel_timer(self, timer_id: int) -> int:
        """0 or not found."""
        return NOT_FOUND if self.timers.pop(timer_id, None) is None else OK

    def kv_get(self, key: bytes) -> bytes | None:
        """As set."""
        return self.kv.get(key)

    def kv_set(self, key: bytes, value: bytes) -> int:
        """Takes anything."""
        self.kv[key] = value
        return OK

    def kv_delete(self, key: bytes) -> int:
        """0 or not found."""
        return NOT_FOUND if self.kv.pop(key, None) is None else OK

    def call_tool(self, request: bytes) -> int | bytes:
        """Gives the request back, so that `read_result` can be tried."""
        return request

    def subscribe(self, topic: bytes) -> int:
        """Takes anything."""
        self.topics.add(topic)
        return OK

    def unsubscribe(self, topic: bytes) -> int:
        """Takes anything."""
        self.topics.discard(topic)
        return OK
