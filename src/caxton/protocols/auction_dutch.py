"""FIPA Dutch Auction: calls with falling prices, until somebody bids or the price is too low.

The standard is experimental and leaves to others what happens when messages cross. Decided here:

- Nobody has to bid, so silence has no deadline, and who was silent or rejected gets the next call all the same. So does
  who bought: only a part of the goods may have been sold.
- Bids bind. A bid stands until it is accepted or rejected, though the next call or the end crosses with it (the
  auctioneer's clock ticks while a bid waits), and until then there is no second one. Each bid gets one answer.
- The auctioneer ends with `inform`. What becomes of goods that were sold is no part of the protocol.
"""

from __future__ import annotations

from caxton.protocols.machine import INITIATOR, START, Protocol

AUCTION_DUTCH = Protocol(
    name="fipa-auction-dutch",
    source="XC00032F",
    initiator={
        START: {"inform": "announced"},
        "announced": {"cfp": "called"},
        "called": {"cfp": "called", "inform": "closed"},
        "bid": {"accept-proposal": "bought", "reject-proposal": "rejected", "cfp": "overtaken", "inform": "closing"},
        "overtaken": {
            "accept-proposal": "called", "reject-proposal": "called", "cfp": "overtaken", "inform": "closing",
        },
        "bought": {"cfp": "called", "inform": "closed"},
        "rejected": {"cfp": "called", "inform": "closed"},
        "closing": {"accept-proposal": "closed", "reject-proposal": "closed"},
    },
    participant={"called": {"propose": "bid"}},
    ends=frozenset({"closed"}),
    turn={
        "announced": None, "called": None, "bid": INITIATOR, "overtaken": INITIATOR,
        "bought": None, "rejected": None, "closing": INITIATOR,
    },
)  # fmt: skip
