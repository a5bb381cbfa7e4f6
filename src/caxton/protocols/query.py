"""FIPA Query: one asks another whether something is so (`query-if`), or which things are (`query-ref`)."""

from __future__ import annotations

from caxton.protocols.machine import EXPIRED, PARTICIPANT, START, Protocol
from caxton.protocols.request import ANSWERS, ENDS, RESULTS

QUERY = Protocol(
    name="fipa-query",
    source="SC00027H",
    initiator={START: {"query-if": "asked", "query-ref": "asked"}},
    participant={"asked": ANSWERS, "agreed": RESULTS},
    ends=ENDS,
    turn={"asked": PARTICIPANT, "agreed": PARTICIPANT},
    expires={"asked": EXPIRED},
)
