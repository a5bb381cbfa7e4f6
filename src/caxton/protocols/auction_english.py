"""FIPA English Auction: calls with rising prices, until nobody bids; then the good is requested of the last who did.

The standard is experimental and leaves to others what happens when messages cross. Decided here:

- Nobody has to bid, so silence has no deadline, and who was silent or rejected gets the next call all the same.
- A bid counts for the last call, and a bidder has one for each call. By the standard one good bid is enough for the
  next call, so this may cross with other bids: a call overtakes all that were not answered yet. They were not accepted,
  and are not answered any more. So does the end.
- The auctioneer ends with `inform`. For who never had a bid accepted that is all. Who had one is `ended`: the
  auctioneer may `request` the good of it, as in `fipa-request`, or not (others bid more, or all bids were too low).
- A call says nothing about accepted bids of earlier calls, so the states of who had one are apart (`led-…`).
"""

from __future__ import annotations

from caxton.protocols.machine import EXPIRED, INITIATOR, PARTICIPANT, START, Protocol
from caxton.protocols.request import ANSWERS, ENDS, RESULTS

AUCTION_ENGLISH = Protocol(
    name="fipa-auction-english",
    source="XC00031F",
    initiator={
        START: {"inform": "announced"},
        "announced": {"cfp": "called"},
        "called": {"cfp": "called", "inform": "closed"},
        "bid": {"accept-proposal": "leading", "reject-proposal": "outbid", "cfp": "called", "inform": "closed"},
        "outbid": {"cfp": "called", "inform": "closed"},
        "leading": {"cfp": "led-called", "inform": "ended"},
        "led-called": {"cfp": "led-called", "inform": "ended"},
        "led-bid": {
            "accept-proposal": "leading", "reject-proposal": "led-outbid", "cfp": "led-called", "inform": "ended",
        },
        "led-outbid": {"cfp": "led-called", "inform": "ended"},
        "ended": {"request": "requested"},
    },
    participant={
        "called": {"propose": "bid"},
        "led-called": {"propose": "led-bid"},
        "requested": ANSWERS,
        "agreed": RESULTS,
    },
    ends=ENDS | {"closed"},
    turn={
        "announced": None, "called": None, "bid": INITIATOR, "outbid": None,
        "leading": None, "led-called": None, "led-bid": INITIATOR, "led-outbid": None,
        "ended": None, "requested": PARTICIPANT, "agreed": PARTICIPANT,
    },
    expires={"requested": EXPIRED},
)  # fmt: skip
