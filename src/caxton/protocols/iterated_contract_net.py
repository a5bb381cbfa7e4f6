"""FIPA Iterated Contract Net: a contract net in which the initiator may answer a proposal with a better call.

A revised call goes only to who proposed. Who refused, was rejected or came too late is out of all further rounds.
"""

from __future__ import annotations

from dataclasses import replace

from caxton.protocols.contract_net import CONTRACT_NET
from caxton.protocols.machine import START

ITERATED_CONTRACT_NET = replace(
    CONTRACT_NET,
    name="fipa-iterated-contract-net",
    source="SC00030H",
    initiator={
        START: {"cfp": "called"},
        "proposed": {"cfp": "called", "accept-proposal": "accepted", "reject-proposal": "rejected"},
    },
)
