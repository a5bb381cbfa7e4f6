"""The 22 communicative acts of FIPA SC00037J, read leniently and written as FIPA spells them."""

from __future__ import annotations

from caxton.core.errors.error import quoted
from caxton.core.errors.messages import InvalidMessage
from caxton.core.suggest import nearest

PERFORMATIVES = (
    "accept-proposal", "agree", "cancel", "cfp", "confirm", "disconfirm", "failure", "inform", "inform-if",
    "inform-ref", "not-understood", "propagate", "propose", "proxy", "query-if", "query-ref", "refuse",
    "reject-proposal", "request", "request-when", "request-whenever", "subscribe",
)  # fmt: skip

_ALIASES = {"accept": "accept-proposal", "reject": "reject-proposal", "query": "query-ref"}
"""Short names that the founding documents use; they are no FIPA acts of their own."""

_READ = {name: name for name in PERFORMATIVES} | _ALIASES


def parse_performative(value: str) -> str:
    """The act as FIPA spells it; `_` counts as `-` and case does not count. Raises `InvalidMessage`."""
    known = _READ.get(value)
    if known is not None:
        return known
    known = _READ.get(value[:40].lower().replace("_", "-"))
    if known is None:
        hint = nearest(value, PERFORMATIVES)
        raise InvalidMessage(
            f"{quoted(value)} is no FIPA performative{f'; did you mean {hint!r}?' if hint else ''}",
            field="performative",
        )
    return known
