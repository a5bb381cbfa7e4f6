"""All interaction protocols that the bus knows, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.protocols.auction_dutch import AUCTION_DUTCH
from caxton.protocols.auction_english import AUCTION_ENGLISH
from caxton.protocols.brokering import BROKERING
from caxton.protocols.contract_net import CONTRACT_NET
from caxton.protocols.iterated_contract_net import ITERATED_CONTRACT_NET
from caxton.protocols.propose import PROPOSE
from caxton.protocols.query import QUERY
from caxton.protocols.recruiting import RECRUITING
from caxton.protocols.request import REQUEST
from caxton.protocols.request_when import REQUEST_WHEN
from caxton.protocols.subscribe import SUBSCRIBE

if TYPE_CHECKING:
    from caxton.protocols.machine import Protocol

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        REQUEST, QUERY, REQUEST_WHEN, CONTRACT_NET, ITERATED_CONTRACT_NET, PROPOSE, SUBSCRIBE, BROKERING, RECRUITING,
        AUCTION_ENGLISH, AUCTION_DUTCH,
    )
}  # fmt: skip
"""Name, as in the message parameter `protocol`, → rules."""
