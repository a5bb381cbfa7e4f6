"""Which tools an agent may call, and how much. Pure.

A grant names tools: `web.search` is one of them, `web.read_*` those of a source that begin so, `web.*` all of it. There
is no way to grant the tools of every source, so that adding one gives nobody anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from caxton.core.errors.values import InvalidValue

MAX_PATTERNS = 100

MAX_CALLS_PER_S = 1_000_000.0

DEFAULT_CALLS_PER_S = 100.0
"""Of an agent, all tools together: an agent in a loop should not use up what others need."""

PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\.(?:[A-Za-z0-9_./-]{0,127}\*|[A-Za-z0-9_./-]{1,128})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one agent may call. The default is nothing."""

    required: tuple[str, ...] = ()
    """Names and wildcards, as in the module's page."""
    calls_per_s: float = DEFAULT_CALLS_PER_S
    """On average; in a burst as many at once as in one second."""
    max_calls: int | None = None
    """Calls in all, since the agent was deployed; None: any number."""
    max_cost: float | None = None
    """What all its calls may cost together, in the unit of the tools' `cost`; None: anything."""

    def allows(self, tool: str) -> bool:
        """Whether `SOURCE.TOOL` is granted."""
        return any(
            tool.startswith(pattern[:-1]) if pattern.endswith("*") else tool == pattern for pattern in self.required
        )


def check_grant(grant: Grant) -> Grant:
    """`grant`, whose values are within bounds. Raises `InvalidValue`."""
    if len(grant.required) > MAX_PATTERNS:
        raise InvalidValue("tools.required", len(grant.required), f"an agent may name at most {MAX_PATTERNS}")
    for pattern in grant.required:
        if not PATTERN.fullmatch(pattern):
            raise InvalidValue("tools.required", pattern, "name a tool as SOURCE.TOOL, or several as SOURCE.*")
    if not 0 < grant.calls_per_s <= MAX_CALLS_PER_S:
        rule = f"it must be more than 0 and at most {MAX_CALLS_PER_S:.0f}"
        raise InvalidValue("tools.calls_per_s", grant.calls_per_s, rule)
    if grant.max_calls is not None and grant.max_calls < 0:
        raise InvalidValue("tools.max_calls", grant.max_calls, "it must be 0 or more")
    if grant.max_cost is not None and not 0 <= grant.max_cost < float("inf"):
        raise InvalidValue("tools.max_cost", grant.max_cost, "it must be 0 or more")
    return grant
