"""The port through which guests reach the world: what the imports of module `caxton` do is up to its implementer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.sandbox.trap import Trap
    from caxton.sandbox.waiting import Wait


NO_ROOM = -0x6E6F726D
"""What delivering a message returns when `caxton_alloc` had no room for it. No handler returns that by
chance; one that does so on purpose only changes the words in its log."""


class Pending(Protocol):
    """An answer that comes later."""

    @property
    def result(self) -> bytes | int | None:
        """None until it is there; then it does not change."""
        ...

    def when_done(self, tell: Callable[[], None], /) -> None:
        """Call `tell` once it is there, in the order asked; at once if it is. Not after `cancel`."""
        ...

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        ...


class Host(Protocol):
    """One per instance. Every method returns at once; an `int` result goes to the guest as it is (sandbox/codes.py).

    `bytes` come straight from guest memory: unchecked, already copied.
    """

    def send_message(self, data: bytes) -> int:
        """Send the JSON message `data`; 0 or an error."""
        ...

    def log(self, level: int, text: bytes, source: str) -> None:
        """Append to the agent's log; `source` is `guest`, `stdout` or `stderr`."""
        ...

    def now_us(self) -> int:
        """Wall clock in microseconds since 1970 UTC."""
        ...

    def random(self, count: int, /) -> bytes:
        """`count` random bytes."""
        ...

    def set_timer(self, delay_us: int) -> int:
        """Id (>= 0) of a one-shot timer, or an error."""
        ...

    def cancel_timer(self, timer_id: int) -> int:
        """0, or an error."""
        ...

    def kv_get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        ...

    def kv_set(self, key: bytes, value: bytes) -> int:
        """0, or an error."""
        ...

    def kv_delete(self, key: bytes) -> int:
        """0, or an error."""
        ...

    def call_tool(self, request: bytes) -> int | bytes | Pending:
        """The tool's result, or an error; if it comes later, the guest is suspended until then."""
        ...

    def subscribe(self, topic: bytes) -> int:
        """0, or an error."""
        ...

    def unsubscribe(self, topic: bytes) -> int:
        """0, or an error."""
        ...


class Caller(Protocol):
    """The guest whose code calls: what host functions need of it (`sandbox.guest.Guest`)."""

    host: Host
    body: bytes
    """The message being delivered."""
    result_bytes: bytes
    """What `read_result` copies."""
    host_calls_left: int
    waits: Wait | None
    """What it is suspended in."""
    stopped: Trap | None
    """Why the host ends it, when wasmtime could not know."""
    probes: tuple[Callable[[], None], ...]
    """Called at the end of each of its slices, on its fiber, while somebody looks at it; mostly nobody does."""

    def holds(self, ptr: int, length: int) -> bool:
        """Whether a region is inside its memory."""
        ...

    def read(self, ptr: int, length: int) -> bytes | None:
        """A copy of its memory, or None when the region is not inside it."""
        ...

    def write(self, ptr: int, data: bytes) -> bool:
        """Copy into its memory; False when the region is not inside it."""
        ...

    def time_is_over(self, now_ns: int) -> Trap | None:
        """The trap to stop it with, or None to let it go on."""
        ...

    def too_many_host_calls(self) -> str:
        """The reason to give when `host_calls_left` is used up."""
        ...


class GuestStop(Exception):
    """Raised by a host function to end the guest with a trap of our own kind."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason
