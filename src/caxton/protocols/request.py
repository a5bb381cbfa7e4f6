"""FIPA Request: one asks another to do something, and hears what came of it.

The standard lets a participant that answers at once leave out its `agree`; so may it in `fipa-query` and
`fipa-request-when`, which go the same way once they have begun.
"""

from __future__ import annotations

from caxton.protocols.machine import EXPIRED, PARTICIPANT, START, Protocol

RESULTS = {"inform": "done", "failure": "failed"}
ANSWERS = {"agree": "agreed", "refuse": "refused", **RESULTS}
ENDS = frozenset({"refused", "done", "failed"})

REQUEST = Protocol(
    name="fipa-request",
    source="SC00026H",
    initiator={START: {"request": "requested"}},
    participant={"requested": ANSWERS, "agreed": RESULTS},
    ends=ENDS,
    turn={"requested": PARTICIPANT, "agreed": PARTICIPANT},
    expires={"requested": EXPIRED},
)
