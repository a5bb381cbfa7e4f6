"""Who offers which capability in a workspace, and how it stands with them."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from caxton.bus.strategy import DEGRADED, HEALTHY, UNHEALTHY, Standing, choose, parse_strategy
from caxton.core.errors.receivers import CapabilityNotFound
from caxton.core.suggest import nearest_few

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from caxton.bus.mailbox import Receiver

MAX_COMPARED = 100
"""Names that a mistyped one is compared with: the ones next to it in the alphabet. More would hold up the node."""

MAX_NEAREST = 3

HEALTH_WORDS = {HEALTHY: "healthy", DEGRADED: "degraded", UNHEALTHY: "unhealthy"}


class _Offer:
    """One capability: who offers it, in order of coming, and whose turn it is."""

    __slots__ = ("receivers", "turn")

    def __init__(self) -> None:
        self.receivers: list[Receiver] = []
        self.turn = 0


class Capabilities:
    """An index of what the receivers of a directory offer; each tells it of its changes."""

    def __init__(self) -> None:
        self._offers: dict[str, _Offer] = {}
        self._names: list[str] = []
        """In order."""

    def change(self, receiver: Receiver, before: Iterable[str], after: Iterable[str]) -> None:
        """`receiver` offered the capabilities `before` and offers those of `after` now."""
        before, after = set(before), set(after)
        for name in sorted(before - after):
            offer = self._offers[name]
            offer.receivers.remove(receiver)
            if not offer.receivers:
                del self._offers[name]
                del self._names[bisect_left(self._names, name)]
        for name in sorted(after - before):
            offer = self._offers.get(name)
            if offer is None:
                offer = self._offers[name] = _Offer()
                insort(self._names, name)
            offer.receivers.append(receiver)

    def names(self) -> list[str]:
        """All that are offered, in order."""
        return list(self._names)

    def offering(self, name: str) -> list[Receiver]:
        """Who offers it, in order of name; nobody if nobody does."""
        offer = self._offers.get(name)
        return [] if offer is None else sorted(offer.receivers, key=lambda receiver: receiver.name)

    def choose(self, name: str, strategy: str | None, sender: Receiver | None) -> list[Receiver]:
        """Who gets a message for the capability `name`; the sender itself only if nobody else offers it.

        Raises:
            InvalidMessage: there is no such strategy.
            CapabilityNotFound: nobody offers it.
        """
        wanted = parse_strategy(strategy)
        offer = self._offers.get(name)
        if offer is None:
            raise CapabilityNotFound(name, self.nearest(name))
        able = offer.receivers
        if sender is not None and len(able) > 1 and name in sender.offers:
            able = [receiver for receiver in able if receiver is not sender]
        chosen = choose(wanted, len(able), lambda n: standing(able[n], name), offer.turn)
        if len(chosen) == 1:
            offer.turn = chosen[0] + 1
        return [able[n] for n in chosen]

    def nearest(self, name: str) -> list[str]:
        """Names that somebody who asked for `name` may have meant, the likeliest first."""
        return nearest_few(name, self._around(name), MAX_NEAREST)

    def _around(self, name: str) -> Iterator[str]:
        first = max(bisect_left(self._names, name) - MAX_COMPARED // 2, 0)
        yield from self._names[first : first + MAX_COMPARED]


def standing(receiver: Receiver, capability: str) -> Standing:
    """How it stands with one who offers `capability`."""
    return Standing(
        receiver.offers[capability],
        health(receiver),
        load(receiver),
        receiver.messages / max(len(receiver.mailboxes), 1),
        receiver.is_running,
    )


def health(receiver: Receiver) -> float:
    """Healthy: it runs with all its replicas, and nothing failed since its last success.

    Unhealthy: it does not run, its circuit is open, or none of its replicas is up. Degraded: anything between.
    """
    if not receiver.is_running or receiver.is_held:
        return UNHEALTHY
    up = sum(box.handler is not None for box in receiver.mailboxes)
    if not up:
        return UNHEALTHY
    return HEALTHY if up == len(receiver.mailboxes) and not receiver.is_watched else DEGRADED


def health_word(receiver: Receiver) -> str:
    """Its health for people and programs."""
    return HEALTH_WORDS[health(receiver)]


def load(receiver: Receiver) -> float:
    """How full its mailbox is, of its messages or its bytes, whichever is more: 0 to 1."""
    return min(max(receiver.messages / receiver.max_messages, receiver.bytes / receiver.max_bytes), 1.0)
