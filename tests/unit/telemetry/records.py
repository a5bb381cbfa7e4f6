"""Records of the flight recorder for tests: raw tuples, as the bus makes them."""

from __future__ import annotations

from typing import Any

import msgspec

from caxton.recorder.record import SETTLED, Record

LOW = "8000000000000000"
TRACE = f"00-0af7651916cd43dd{LOW}-"


def record(**fields: Any) -> tuple[Any, ...]:
    """A message of `a` to `b`, handled at once."""
    values: dict[str, Any] = {
        "kind": SETTLED, "seq": 7, "workspace": "default", "sender": "a", "receiver": "b", "message_id": "m-7",
        "conversation_id": None, "act": b'inform","receiver', "trace": TRACE, "attempt": 1, "sent_us": 1_000,
        "handed_us": 1_100, "ended_us": 1_200, "size": 100, "detail": None, **fields,
    }  # fmt: skip
    return msgspec.structs.astuple(Record(**values))
