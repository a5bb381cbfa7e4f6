"""Routes about dead letters: look, hand over again, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from caxton.api.body import decode, read_json, read_struct
from caxton.api.errors import to_problem
from caxton.api.operation import Answer, Body, Operation, Route
from caxton.api.query import choice, flag, integer, word
from caxton.api.reply import Reply, json_reply
from caxton.api.shapes import MESSAGE, shape
from caxton.bus.dead_letters import REASONS
from caxton.core.errors.dead_letters import DeadLetterDamaged, DeadLetterNotFound
from caxton.core.errors.error import CaxtonError
from caxton.core.errors.limits import RateLimited
from caxton.core.errors.receivers import MailboxFull, UnknownReceiver
from caxton.core.errors.requests import InvalidRequest
from caxton.core.errors.values import InvalidValue
from caxton.core.views.dead_letters import (
    DeadLetterDetail,
    DeadLetterFilter,
    DeadLetterPage,
    PurgeReceipt,
    ReplayOutcome,
    ReplayReceipt,
)
from caxton.messages.codec import MAX_FIELD_CHARS
from caxton.services.dead_letters import MAX_IDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caxton.api.request import ApiRequest
    from caxton.api.services import DeadLetterService

PATH = "/api/v1/dead-letters"


def _text(text: str) -> str:
    if not 0 < len(text) <= MAX_FIELD_CHARS:
        raise InvalidRequest(f"it must have 1 to {MAX_FIELD_CHARS} characters", field="query")
    return text


AGENT = word("agent", "Only letters for this agent.", _text)
REASON = choice("reason", "Only letters that died of this.", tuple(REASONS))
SENDER = word("sender", "Only letters of this agent, or of `client:NAME`.", _text)
CONVERSATION = word("conversation_id", "Only letters of this conversation.", _text)
SINCE = word("since", "Only letters that died in the last while, like `1h`.", _text)
REPLAYED = flag("replayed", "Those that were replayed, instead of those that wait.")
LIMIT = integer("limit", "How many at most.", default=100, low=1, high=1000)
AFTER = word("after", "Go on with the list: only letters below this id.", _text)


class ReplayOptions(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which letters to hand over again: some ids, or the first that wait and match a filter, in the order of ids."""

    ids: list[str] | None = None
    filter: DeadLetterFilter | None = None
    after: str | None = None
    """With a filter: only letters above this id."""
    through: str | None = None
    """With a filter: only letters up to this id."""
    limit: int = MAX_IDS
    """With a filter: how many at most."""


class ReplayOutcomes(msgspec.Struct, kw_only=True):
    """What became of each letter, in the order of their ids."""

    letters: list[ReplayOutcome]
    next: str | None
    """With a filter: the `after` with which to go on; null when these were all."""


class PurgeOptions(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which letters to delete: some ids, those that match a filter, or all."""

    ids: list[str] | None = None
    filter: DeadLetterFilter | None = None
    all: bool = False
    replayed: bool | None = None
    """With a filter or all: only those that were replayed (true) or that wait (false)."""


_DETAIL = shape(DeadLetterDetail, message=MESSAGE | None)
_REPLAY_ERRORS = (DeadLetterDamaged, DeadLetterNotFound, MailboxFull, RateLimited, UnknownReceiver)

LIST = Operation(
    method="GET",
    path=PATH,
    action="dead-letters:read",
    summary="Messages that were given up, those accepted last first.",
    query=(AGENT, REASON, SENDER, CONVERSATION, SINCE, REPLAYED, LIMIT, AFTER),
    answers=(Answer(kind=DeadLetterPage, doc="One page of them."),),
)
GET = Operation(
    method="GET",
    path=f"{PATH}/{{id}}",
    action="dead-letters:read",
    summary="One dead letter with its message.",
    answers=(Answer(kind=_DETAIL, doc="It."),),
    errors=(DeadLetterDamaged, DeadLetterNotFound),
)
REPLAY = Operation(
    method="POST",
    path=f"{PATH}/{{id}}/replay",
    action="dead-letters:write",
    summary="Hand a dead letter over again, once, however often this is asked.",
    answers=(
        Answer(status=202, kind=ReplayReceipt, doc="It waits for its receiver; that is on disk."),
        Answer(kind=ReplayReceipt, doc="It was replayed before: the receipt of then."),
    ),
    errors=_REPLAY_ERRORS,
)
REPLAY_SOME = Operation(
    method="POST",
    path=f"{PATH}/replay",
    action="dead-letters:write",
    summary=f"Hand up to {MAX_IDS} dead letters over again; one that is refused stops no other.",
    body=Body(kind=ReplayOptions, example={"filter": {"agent": "counter"}}),
    answers=(
        Answer(status=202, kind=ReplayOutcomes, doc="All replayed, now or before."),
        Answer(status=207, kind=ReplayOutcomes, doc="Some refused."),
    ),
    errors=(RateLimited,),
)
PURGE = Operation(
    method="DELETE",
    path=f"{PATH}/{{id}}",
    action="dead-letters:write",
    summary="Delete one dead letter for good.",
    answers=(Answer(kind=PurgeReceipt, doc="It is gone."),),
    errors=(DeadLetterNotFound,),
)
PURGE_SOME = Operation(
    method="POST",
    path=f"{PATH}/purge",
    action="dead-letters:write",
    summary="Delete dead letters for good, in one transaction.",
    body=Body(kind=PurgeOptions, example={"filter": {"agent": "counter"}, "replayed": True}),
    answers=(Answer(kind=PurgeReceipt, doc="They are gone. Those that wait were not replayed by anybody."),),
)


def dead_letter_routes(letters: DeadLetterService) -> list[Route]:
    """The routes of this module."""

    async def list_(request: ApiRequest) -> Reply:
        wanted = DeadLetterFilter(
            agent=request.read(AGENT), reason=request.read(REASON), sender=request.read(SENDER),
            conversation_id=request.read(CONVERSATION), since=request.read(SINCE),
        )  # fmt: skip
        replayed, limit, after = request.read(REPLAYED), request.read(LIMIT), request.read(AFTER)
        return json_reply(await letters.list(request.workspace, wanted, replayed=replayed, limit=limit, after=after))

    async def get(request: ApiRequest) -> Reply:
        return json_reply(await letters.get(request.workspace, request.letter_id))

    async def replay(request: ApiRequest) -> Reply:
        receipt = await letters.replay(request.workspace, request.principal, request.letter_id)
        return json_reply(receipt, status=202 if receipt.status == "replayed" else 200)

    async def replay_some(request: ApiRequest) -> Reply:
        options = await read_struct(request, ReplayOptions)
        if options.ids is not None:
            if any(given is not None for given in (options.filter, options.after, options.through)):
                raise InvalidRequest("give ids or a filter, not both", field="ids")
            outcomes = await letters.replay_ids(request.workspace, request.principal, options.ids)
            return _told(request, outcomes, None)
        if options.filter is None:
            raise InvalidRequest("give ids or a filter; the filter {} means all", field="body")
        if not 1 <= options.limit <= MAX_IDS:
            raise InvalidValue("limit", options.limit, f"give 1 to {MAX_IDS}")
        outcomes, more = await letters.replay_matching(
            request.workspace, request.principal, options.filter,
            after=options.after, through=options.through, limit=options.limit,
        )  # fmt: skip
        return _told(request, outcomes, more)

    async def purge(request: ApiRequest) -> Reply:
        return json_reply(await letters.purge(request.workspace, request.principal, request.letter_id))

    async def purge_some(request: ApiRequest) -> Reply:
        options = decode(await read_json(request), PurgeOptions)
        if [options.ids is not None, options.filter is not None, options.all].count(True) != 1:
            raise InvalidRequest("give one of ids, filter and all", field="body")
        if options.ids is not None:
            if options.replayed is not None:
                raise InvalidRequest("it goes with a filter or all", field="replayed")
            return json_reply(await letters.purge_ids(request.workspace, request.principal, options.ids))
        wanted = options.filter or DeadLetterFilter()
        if options.filter == DeadLetterFilter() and options.replayed is None:
            raise InvalidRequest("an empty filter means every letter; say all", field="filter")
        return json_reply(
            await letters.purge_matching(request.workspace, request.principal, wanted, replayed=options.replayed)
        )

    return [
        Route(LIST, list_),
        Route(GET, get),
        Route(REPLAY, replay),
        Route(REPLAY_SOME, replay_some),
        Route(PURGE, purge),
        Route(PURGE_SOME, purge_some),
    ]


def _told(request: ApiRequest, outcomes: Iterable[tuple[str, ReplayReceipt | CaxtonError]], more: str | None) -> Reply:
    told = [
        ReplayOutcome(id=one, problem=to_problem(outcome, trace_id=request.trace_id))
        if isinstance(outcome, CaxtonError)
        else ReplayOutcome(id=one, receipt=outcome)
        for one, outcome in outcomes
    ]
    refused = any(one.problem is not None for one in told)
    return json_reply(ReplayOutcomes(letters=told, next=more), status=207 if refused else 202)
