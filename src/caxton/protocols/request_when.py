"""FIPA Request When: one asks another to do something as soon as something is so.

The standard always has an `agree` before the result. Here it may be left out, as in `fipa-request`: what was waited
for may be so already.
"""

from __future__ import annotations

from caxton.protocols.machine import EXPIRED, PARTICIPANT, START, Protocol
from caxton.protocols.request import ANSWERS, ENDS, RESULTS

REQUEST_WHEN = Protocol(
    name="fipa-request-when",
    source="SC00028H",
    initiator={START: {"request-when": "requested"}},
    participant={"requested": ANSWERS, "agreed": RESULTS},
    ends=ENDS,
    turn={"requested": PARTICIPANT, "agreed": PARTICIPANT},
    expires={"requested": EXPIRED},
)
