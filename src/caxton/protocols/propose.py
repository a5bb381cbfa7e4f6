"""FIPA Propose: one offers to do something if the other agrees.

What the initiator then does, and how it tells, is no part of the protocol.
"""

from __future__ import annotations

from caxton.protocols.machine import EXPIRED, PARTICIPANT, START, Protocol

PROPOSE = Protocol(
    name="fipa-propose",
    source="SC00036H",
    initiator={START: {"propose": "proposed"}},
    participant={"proposed": {"accept-proposal": "accepted", "reject-proposal": "rejected"}},
    ends=frozenset({"accepted", "rejected"}),
    turn={"proposed": PARTICIPANT},
    expires={"proposed": EXPIRED},
)
