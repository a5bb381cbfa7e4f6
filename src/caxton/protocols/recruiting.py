"""FIPA Recruiting: a recruiter finds agents and passes an act on to them; they reply to the initiator themselves.

Where the standard is vague:

- The recruiter says with an `inform` that it passed the act on, or with a `failure` that it did not (nobody matches).
  The standard then lets it forward the last reply, though replies do not go through it: this is a second `inform`,
  which may be left out, and which ends the exchange. Without it a `cancel` does.
- Replies come from agents whom the initiator never addressed (`third_party`): whatever may answer the act that was
  passed on. They change nothing between initiator and recruiter. Replies to another receiver that the initiator
  designated do not touch the initiator at all.
- To answer a reply the initiator begins an exchange with whom it came from.
"""

from __future__ import annotations

from caxton.protocols.brokering import REPLIES
from caxton.protocols.machine import EXPIRED, NOT_UNDERSTOOD, PARTICIPANT, START, Protocol

RECRUITING = Protocol(
    name="fipa-recruiting",
    source="SC00034H",
    initiator={START: {"proxy": "asked"}},
    participant={
        "asked": {"agree": "agreed", "refuse": "refused"},
        "agreed": {"inform": "recruited", "failure": "failed"},
        "recruited": {"inform": "done", "failure": "failed"},
    },
    ends=frozenset({"refused", "done", "failed"}),
    turn={"asked": PARTICIPANT, "agreed": PARTICIPANT, "recruited": None},
    expires={"asked": EXPIRED},
    third_party=frozenset({*REPLIES, "failure", NOT_UNDERSTOOD}),
)
