"""A second opinion on every protocol, as regular expressions over what is said, written from FIPA's documents.

A text such as `i:request (p:refuse | p:agree? (p:inform | p:failure))` says what initiator and participant may say, in
which order; `time` is the passing of the deadline of what the initiator said last. Where the product had to decide
something that the documents leave open, the line says so. Cancelling and not understanding stand beside the texts, as
they do in the documents (`Exchange`).

Texts are followed by Brzozowski's derivatives: what may still come after one thing was said. Nothing of the product is
used here: a mistake in a table and the same mistake here would have to be made twice, in two notations.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

ANSWER = "(p:refuse | time | p:agree? (p:inform | p:failure))"
"""To a request. The deadline is that of the first word: `time` cannot come after an `agree`."""

AWARD = "(i:reject-proposal | i:accept-proposal (time | p:inform | p:failure))"
NO_BID = "(p:refuse | time (p:refuse | p:propose))"
"""A proposal after its time is the last that is said: the node answers it."""

REPLY = "(p:accept-proposal | p:agree | p:inform | p:propose | p:refuse | p:reject-proposal)"

LOST = "i:cfp (p:propose i:reject-proposal?)?"
"""A round of an English auction for one bidder: silent, rejected, or overtaken by the next call (decided here)."""
LED = "i:cfp p:propose i:accept-proposal"

VERDICT = "(i:accept-proposal | i:reject-proposal)"

TEXTS = {
    "fipa-request": f"i:request {ANSWER}",
    "fipa-query": f"(i:query-if | i:query-ref) {ANSWER}",
    # the document has the agree always; decided: it may be left out
    "fipa-request-when": f"i:request-when {ANSWER}",
    "fipa-contract-net": f"i:cfp (p:propose {AWARD} | {NO_BID})",
    "fipa-iterated-contract-net": f"(i:cfp p:propose)* (i:cfp p:propose {AWARD} | i:cfp {NO_BID})",
    "fipa-propose": "i:propose (p:accept-proposal | p:reject-proposal | time)",
    "fipa-subscribe": "i:subscribe (p:refuse | time | ((p:agree | p:inform) p:inform*)? p:failure)",
    # decided: replies are all that participants say, and none of them is the last
    "fipa-brokering": f"i:proxy (p:refuse | time | p:agree {REPLY}* p:failure)",
    # decided: one inform for "passed on", perhaps one for "that was all"
    "fipa-recruiting": "i:proxy (p:refuse | time | p:agree (p:failure | p:inform (p:inform | p:failure)))",
    "fipa-auction-english": (
        f"i:inform (({LOST})+ i:inform | ({LOST})* {LED} ({LOST} | {LED})* i:inform i:request {ANSWER})"
    ),
    # decided: a bid stands until its verdict, whatever crosses with it
    "fipa-auction-dutch": (
        f"i:inform i:cfp (i:cfp | p:propose ({VERDICT} i:cfp | i:cfp+ {VERDICT}))*"
        f" (i:inform | p:propose ({VERDICT} i:inform | i:cfp* i:inform {VERDICT}))"
    ),
}


# --- regular expressions ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word:
    text: str


@dataclass(frozen=True, slots=True)
class Both:
    first: Text
    then: Text


@dataclass(frozen=True, slots=True)
class Either:
    choices: frozenset[Text]


@dataclass(frozen=True, slots=True)
class Many:
    inner: Text


@dataclass(frozen=True, slots=True)
class Fixed:
    name: str


Text = Word | Both | Either | Many | Fixed

NOTHING = Fixed("nothing")
"""Only the empty text fits."""
IMPOSSIBLE = Fixed("impossible")
"""Not even that fits."""


def both(first: Text, then: Text) -> Text:
    if IMPOSSIBLE in (first, then):
        return IMPOSSIBLE
    if first == NOTHING:
        return then
    return first if then == NOTHING else Both(first, then)


def either(*choices: Text) -> Text:
    flat: set[Text] = {inner for one in choices for inner in (one.choices if isinstance(one, Either) else (one,))}
    flat.discard(IMPOSSIBLE)
    if not flat:
        return IMPOSSIBLE
    return flat.pop() if len(flat) == 1 else Either(frozenset(flat))


def parse(text: str) -> Text:
    """Reads choices (`|`), sequences, `?`, `*`, `+`, parentheses, and words."""
    tokens = re.findall(r"[|()?*+]|[^\s|()?*+]+", text)
    parsed, rest = _choices(tokens)
    assert not rest, f"cannot read from {rest} on"
    return parsed


def _choices(tokens: list[str]) -> tuple[Text, list[str]]:
    found, tokens = _sequence(tokens)
    while tokens[:1] == ["|"]:
        other, tokens = _sequence(tokens[1:])
        found = either(found, other)
    return found, tokens


def _sequence(tokens: list[str]) -> tuple[Text, list[str]]:
    found: Text = NOTHING
    while tokens and tokens[0] not in "|)":
        one: Text = Word(tokens[0])
        if tokens[0] == "(":
            one, tokens = _choices(tokens[1:])
            assert tokens[0] == ")"
        tokens = tokens[1:]
        if tokens and tokens[0] in "?*+":
            one = {"?": either(one, NOTHING), "*": Many(one), "+": both(one, Many(one))}[tokens[0]]
            tokens = tokens[1:]
        found = both(found, one)
    return found, tokens


@cache
def may_end(text: Text) -> bool:
    match text:
        case Both(first, then):
            return may_end(first) and may_end(then)
        case Either(choices):
            return any(may_end(one) for one in choices)
        case Many():
            return True
        case _:
            return text == NOTHING


@cache
def after(text: Text, word: str) -> Text:
    """What may be said after `word`: Brzozowski's derivative."""
    match text:
        case Word(expected):
            return NOTHING if word == expected else IMPOSSIBLE
        case Both(first, then):
            rest = both(after(first, word), then)
            return either(rest, after(then, word)) if may_end(first) else rest
        case Either(choices):
            return either(*(after(one, word) for one in choices))
        case Many(inner):
            return both(after(inner, word), text)
        case _:
            return IMPOSSIBLE


# --- cancelling and not understanding --------------------------------------------------------------------------------

CANCEL_ANSWERS = ("p:inform", "p:failure", "p:not-understood")


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """What may still be said between an initiator and one participant. Made by `exchange`, so that equals are one."""

    rest: Text
    begun: bool
    cancelling: bool
    """The initiator waits for the answer to its cancel."""
    owes_answer: bool
    """A cancel reached the participant, which did not answer it yet, though the exchange may be over by now."""

    @property
    def over(self) -> bool:
        return self.rest == NOTHING

    def after(self, word: str, *, answers_cancel: bool = False) -> Exchange | None:
        """What may be said after `word`; None when it may not be said. `answers_cancel`: it refers to the cancel."""
        if answers_cancel and self.owes_answer and word.startswith("p:"):
            return _answered(self, word)
        if self.over:
            return None
        rest = after(self.rest, word)
        initiator_waits = self.cancelling and word.startswith("i:")
        if rest != IMPOSSIBLE and not initiator_waits and not (self.cancelling and word == "time"):
            return exchange(rest, cancelling=self.cancelling and rest != NOTHING, owes_answer=self.owes_answer)
        if not self.begun:
            return None
        if word in ("i:not-understood", "p:not-understood"):  # ends it, whoever says it
            return exchange(NOTHING, owes_answer=self.owes_answer)
        if self.cancelling:
            return _cancelled(self, word)
        return exchange(self.rest, cancelling=True, owes_answer=True) if word == "i:cancel" else None


@cache
def exchange(rest: Text, *, begun: bool = True, cancelling: bool = False, owes_answer: bool = False) -> Exchange:
    return Exchange(rest, begun, cancelling, owes_answer)


def beginning(protocol: str) -> Exchange:
    """Nothing was said yet."""
    return exchange(parse(TEXTS[protocol]), begun=False)


def _answered(was: Exchange, word: str) -> Exchange | None:
    if word not in CANCEL_ANSWERS:
        return None
    return exchange(NOTHING if was.cancelling and word == "p:inform" else was.rest)


def _cancelled(was: Exchange, word: str) -> Exchange | None:
    """Said by a participant that does not refer to the cancel, though it can mean nothing else; or the time is over."""
    if word in ("p:inform", "time"):
        return exchange(NOTHING)
    return exchange(was.rest) if word == "p:failure" else None
