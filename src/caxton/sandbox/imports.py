"""The host functions of module `caxton`: their types, and how their arguments leave and enter guest memory.

A function gets the calling guest and its arguments as Python ints (i32 signed, as WebAssembly hands them over).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from caxton.sandbox.codes import INVALID, NOT_FOUND, OK, TOO_LARGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.sandbox.host import Caller, Pending

MAX_TRANSFER_BYTES = 4 << 20
"""Of one argument; every import has its own, tighter rule, `Guest.read` has this one before it makes a copy."""

MAX_LOG_LINE_BYTES = 16 * 1024
MAX_RANDOM_BYTES = 64 * 1024


class HostFunction(NamedTuple):
    """One import as it is offered to guests."""

    params: str
    """One letter each: `i` for i32, `l` for i64."""
    result: str
    """`i`, `l`, or nothing."""
    call: Callable[..., Any]
    may_wait: bool = False
    """It may return a `Pending`: the guest is suspended until that has a result, which it then gets."""


def send_message(guest: Caller, ptr: int, length: int) -> int:
    data = guest.read(ptr, length)
    if data is None:
        return TOO_LARGE if guest.holds(ptr, length) else INVALID
    return guest.host.send_message(data)


def _log(guest: Caller, level: int, ptr: int, length: int) -> None:
    text = guest.read(ptr, min(length, MAX_LOG_LINE_BYTES))
    if text is not None:
        guest.host.log(min(max(level, 0), 4), text, "guest")


def _now_us(guest: Caller) -> int:
    return guest.host.now_us()


def _random(guest: Caller, ptr: int, length: int) -> None:
    if 0 <= length <= MAX_RANDOM_BYTES:
        guest.write(ptr, guest.host.random(length))


def _set_timer(guest: Caller, delay_us: int) -> int:
    return guest.host.set_timer(delay_us) if delay_us >= 0 else INVALID


def _cancel_timer(guest: Caller, timer_id: int) -> int:
    return guest.host.cancel_timer(timer_id)


def _kv_get(guest: Caller, ptr: int, length: int) -> int:
    key = guest.read(ptr, length)
    if key is None:
        return INVALID
    value = guest.host.kv_get(key)
    if value is None:
        return NOT_FOUND
    guest.result_bytes = value
    return len(value)


def _kv_set(guest: Caller, key_ptr: int, key_length: int, ptr: int, length: int) -> int:
    key, value = guest.read(key_ptr, key_length), guest.read(ptr, length)
    if value is None and guest.holds(ptr, length):
        return TOO_LARGE
    return INVALID if key is None or value is None else guest.host.kv_set(key, value)


def _kv_delete(guest: Caller, ptr: int, length: int) -> int:
    key = guest.read(ptr, length)
    return INVALID if key is None else guest.host.kv_delete(key)


def _call_tool(guest: Caller, ptr: int, length: int) -> int | Pending:
    request = guest.read(ptr, length)
    if request is None:
        return INVALID
    result = guest.host.call_tool(request)
    return take(guest, result) if isinstance(result, int | bytes) else result


def take(guest: Caller, result: int | bytes) -> int:
    """What a host function returns for `result`: a code as it is, or the length of what `read_result` copies."""
    if isinstance(result, int):
        return result
    guest.result_bytes = result
    return len(result)


def _read_result(guest: Caller, ptr: int, length: int) -> int:
    """Copies as much as fits; returns the number of bytes copied."""
    part = guest.result_bytes[: max(length, 0)]
    return len(part) if guest.write(ptr, part) else INVALID


def _subscribe(guest: Caller, ptr: int, length: int) -> int:
    topic = guest.read(ptr, length)
    return INVALID if topic is None else guest.host.subscribe(topic)


def _unsubscribe(guest: Caller, ptr: int, length: int) -> int:
    topic = guest.read(ptr, length)
    return INVALID if topic is None else guest.host.unsubscribe(topic)


CAXTON_IMPORTS: dict[str, HostFunction] = {
    "send_message": HostFunction("ii", "i", send_message),
    "log": HostFunction("iii", "", _log),
    "now_us": HostFunction("", "l", _now_us),
    "random": HostFunction("ii", "", _random),
    "set_timer": HostFunction("l", "i", _set_timer),
    "cancel_timer": HostFunction("i", "i", _cancel_timer),
    "kv_get": HostFunction("ii", "i", _kv_get),
    "kv_set": HostFunction("iiii", "i", _kv_set),
    "kv_delete": HostFunction("ii", "i", _kv_delete),
    "call_tool": HostFunction("ii", "i", _call_tool, may_wait=True),
    "read_result": HostFunction("ii", "i", _read_result),
    "subscribe": HostFunction("ii", "i", _subscribe),
    "unsubscribe": HostFunction("ii", "i", _unsubscribe),
}

__all__ = ["CAXTON_IMPORTS", "MAX_LOG_LINE_BYTES", "OK", "HostFunction", "take"]
