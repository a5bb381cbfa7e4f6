"""FIPA Subscribe: one is told about something whenever it changes, until it cancels.

The first `inform` may stand for the `agree`. Without a `cancel` only a `failure` of the participant ends it.
"""

from __future__ import annotations

from caxton.protocols.machine import EXPIRED, PARTICIPANT, START, Protocol

SUBSCRIBE = Protocol(
    name="fipa-subscribe",
    source="SC00035H",
    initiator={START: {"subscribe": "asked"}},
    participant={
        "asked": {"agree": "subscribed", "inform": "subscribed", "refuse": "refused", "failure": "failed"},
        "subscribed": {"inform": "subscribed", "failure": "failed"},
    },
    ends=frozenset({"refused", "failed"}),
    turn={"asked": PARTICIPANT, "subscribed": None},
    expires={"asked": EXPIRED},
)
