"""FIPA Request: one asks another to do something, and hears what came of it."""

from __future__ import annotations

from caxton.protocols.machine import EXPIRED, PARTICIPANT, START, Protocol

REQUEST = Protocol(
    name="fipa-request",
    source="SC00026H",
    initiator={START: {"request": "requested"}},
    participant={
        "requested": {"agree": "agreed", "refuse": "refused", "inform": "done", "failure": "failed"},
        "agreed": {"inform": "done", "failure": "failed"},
    },
    ends=frozenset({"refused", "done", "failed"}),
    turn={"requested": PARTICIPANT, "agreed": PARTICIPANT},
    expires={"requested": EXPIRED},
)
"""`agree` may be left out by a participant that answers at once."""
