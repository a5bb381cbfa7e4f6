"""What a module says that it offers: the guest's side of `get_capabilities`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.core.errors.values import InvalidName
from caxton.core.ids import parse_capability
from caxton.sandbox.trap import Trap

if TYPE_CHECKING:
    from collections.abc import Generator

    from caxton.sandbox.guest import Guest

MAX_CAPABILITIES = 100
MAX_CAPABILITIES_BYTES = 16 * 1024


def ask_capabilities(guest: Guest) -> Generator[None, None, tuple[str, ...] | str | Trap]:
    """Read the JSON array of names that `get_capabilities` writes: once for its length, once for itself.

    Returns the names, or why there are none.
    """
    length = yield from guest.run("get_capabilities", 0, 0)
    if isinstance(length, Trap):
        return length
    if not 0 <= length <= MAX_CAPABILITIES_BYTES:
        return f"get_capabilities returned the length {length}; the limit is {MAX_CAPABILITIES_BYTES}"
    region = yield from guest.run("caxton_alloc", length)
    if isinstance(region, Trap):
        return region
    written = yield from guest.run("get_capabilities", region, length)
    if isinstance(written, Trap):
        return written
    try:
        names = msgspec.json.decode(guest.read(region, length) or b"", type=list[str])
        if len(names) > MAX_CAPABILITIES:
            return f"get_capabilities named {len(names)} capabilities; the limit is {MAX_CAPABILITIES}"
        return tuple(parse_capability(name) for name in names)
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidName) as exc:
        return f"get_capabilities did not write a JSON array of names: {exc}"
