"""Messages to draw."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from caxton.core.views.messages import Sighting
from caxton.messages.performative import PERFORMATIVES

START_US = 1_800_000_000_000_000
"""08:00:00 UTC."""

HOSTILE = [
    "\x1b[31mred\x1b[2J", "a\nparticipant x as y", "a\r\nb", "tab\there", "\u202eright to left", "\ud800", "\ufffe",
    "</text><script>alert(1)</script>", "&lt;b&gt;", "'\"><a href=x>", "]]>", "<!--", "%%{init: {}}%%", "a;b", "a#b",
    "#35;", "end", "x END y", "->>p1: forged", "Note over p0: forged", "client:管理者", "\u0301\u0301",
    "👩‍👩‍👧‍👦", "🇩🇪🇫🇷", "❤️",
    "", " ", "x" * 500, "管" * 200, ">", "<", "✗", "│", "─",
]  # fmt: skip
"""Names and texts that want to be something else, and those that are hard to measure."""


def sighting(n: int, sender: str, receiver: str, act: str = "inform", **facts: Any) -> Sighting:
    """Message number `n`, a quarter of a second after the one before."""
    values: dict[str, Any] = {
        "event": "sent", "timestamp": START_US + n * 250_000, "workspace": "default", "conversation_id": "c-1",
        "protocol": None, "message_id": f"m-{n}", "reply_with": None, "in_reply_to": None, "attempt": 1,
        "size_bytes": 8, "excerpt": '{"x": 1}', "reason": None, **facts,
    }  # fmt: skip
    return Sighting(seq=n, sender=sender, receiver=receiver, performative=act, **values)


def contract_net() -> list[Sighting]:
    """One manager, three bidders: a proposal wins, one refuses, one was never reached, a forged one is stopped."""
    cfps = [sighting(1, "manager", f"bidder-{n}", "cfp") for n in (1, 2, 3)]
    return [
        sighting(0, "client:admin", "manager", "request"),
        *cfps,
        sighting(2, "bidder-1", "manager", "propose", in_reply_to="m-1"),
        sighting(3, "bidder-2", "manager", "refuse", in_reply_to="m-1"),
        sighting(4, "manager", "bidder-3", "cfp", event="dead", reason="failed", attempt=5),
        sighting(5, "manager", "bidder-1", "accept-proposal"),
        sighting(6, "manager", "manager", "inform"),
        sighting(7, "bidder-1", "client:admin", "inform", event="dead", reason="protocol"),
    ]


plain_names = st.sampled_from([f"agent-{n}" for n in range(12)])
any_names = st.one_of(plain_names, st.sampled_from(HOSTILE), st.text(max_size=40))


def sightings(names: st.SearchStrategy[str], texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[Sighting]]:
    """Up to thirty messages between anybody."""
    one = st.builds(
        sighting, st.integers(-5, 400_000), names, names, st.sampled_from(PERFORMATIVES), excerpt=texts,
        conversation_id=st.none() | texts, reason=texts, event=st.sampled_from(["sent", "sent", "dead", "refused"]),
        attempt=st.integers(1, 5), in_reply_to=st.none() | texts,
    )  # fmt: skip
    return st.lists(one, max_size=30)
