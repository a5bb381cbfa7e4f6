"""FIPA Contract Net: a call for proposals, and none, one or several of them accepted.

The `reply_by` of the call is the deadline for proposals. The standard wants later ones to be rejected automatically, as
late: they lead to `rejected-late`, and the node answers. A proposal that came in time waits for its answer as long as
the initiator likes. The `reply_by` of an acceptance is the deadline for the result.
"""

from __future__ import annotations

from caxton.protocols.machine import EXPIRED, INITIATOR, LATE, PARTICIPANT, REJECTED_LATE, START, Protocol

CONTRACT_NET = Protocol(
    name="fipa-contract-net",
    source="SC00029H",
    initiator={
        START: {"cfp": "called"},
        "proposed": {"accept-proposal": "accepted", "reject-proposal": "rejected"},
    },
    participant={
        "called": {"propose": "proposed", "refuse": "refused"},
        LATE: {"propose": REJECTED_LATE, "refuse": "refused"},
        "accepted": {"inform": "done", "failure": "failed"},
    },
    ends=frozenset({"refused", "rejected", "done", "failed"}),
    turn={"called": PARTICIPANT, LATE: None, "proposed": INITIATOR, "accepted": PARTICIPANT},
    expires={"called": LATE, "accepted": EXPIRED},
)
