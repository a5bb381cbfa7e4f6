"""An error, as the API words it."""

from __future__ import annotations

from typing import Any

import msgspec


class Problem(msgspec.Struct, kw_only=True):
    """An error as RFC 9457 has it (`application/problem+json`), with our stable `code`."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    trace_id: str
    instance: str | None = None
    details: dict[str, Any] = {}
