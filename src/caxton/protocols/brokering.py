"""FIPA Brokering: a broker finds agents, passes an act on to them, and passes their replies back.

Where the standard is vague:

- What a reply is depends on the act that is passed on, so every act with which a participant of any protocol answers
  may be one. What the broker tells its agents, and they it, are conversations of its own.
- The standard ends with the last reply, which looks like any other. So replies do not end the exchange; a `failure`
  does (nobody matches, or the brokering broke down), and a `cancel`. As the standard warns, a broker must not pass a
  `failure` of one agent on as its own while others may still answer; the same holds for `not-understood`.
- After its `agree` the broker owes one reply or failure. After that nothing is owed: there may be no more agents.
- To answer a reply (to accept a brokered proposal) the initiator begins another exchange.
"""

from __future__ import annotations

from caxton.protocols.machine import EXPIRED, PARTICIPANT, START, Protocol

REPLIES = ("accept-proposal", "agree", "inform", "propose", "refuse", "reject-proposal")
"""What participants of any protocol answer with, beside `failure`."""

BROKERING = Protocol(
    name="fipa-brokering",
    source="SC00033H",
    initiator={START: {"proxy": "asked"}},
    participant={
        "asked": {"agree": "agreed", "refuse": "refused"},
        "agreed": {**dict.fromkeys(REPLIES, "replied"), "failure": "failed"},
        "replied": {**dict.fromkeys(REPLIES, "replied"), "failure": "failed"},
    },
    ends=frozenset({"refused", "failed"}),
    turn={"asked": PARTICIPANT, "agreed": PARTICIPANT, "replied": None},
    expires={"asked": EXPIRED},
)
