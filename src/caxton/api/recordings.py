"""Routes about recordings for replays: which there are, and the files themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caxton.api.operation import BINARY, Answer, Operation, Route
from caxton.api.query import integer, word
from caxton.api.reply import Header, Reply, json_reply
from caxton.core.errors.recordings import RecordingDamaged, RecordingNotFound, RecordingTooNew
from caxton.core.errors.values import InvalidName, InvalidValue
from caxton.core.ids import parse_agent_name
from caxton.core.views.recordings import RecordingFilter, RecordingPage

if TYPE_CHECKING:
    from collections.abc import Callable

    from caxton.api.request import ApiRequest
    from caxton.api.services import RecordingService

PATH = "/api/v1/recordings"

BINARY_TYPE: Header = (b"content-type", BINARY.encode())

AGENT = word("agent", "Only those of this agent.", parse_agent_name)


def _id(name: str) -> Callable[[str], str]:
    """Reads an id. An empty one would be any: a variable that was not set."""

    def parse(text: str) -> str:
        if not text:
            raise InvalidValue(name, text, "give an id, or leave it out")
        return text

    return parse


CONVERSATION = word("conversation", "Only those with messages of this conversation.", _id("conversation"))
MESSAGE = word("message", "Only those with this message, by its message_id.", _id("message"))
LIMIT = integer("limit", "How many at most.", default=1000, low=1, high=10_000)

_ERRORS = (RecordingNotFound, RecordingDamaged)

LIST = Operation(
    method="GET",
    path=PATH,
    action="recordings:read",
    summary="The recordings of instances, the oldest first, and who took part and has none.",
    query=(AGENT, CONVERSATION, MESSAGE, LIMIT),
    answers=(Answer(kind=RecordingPage, doc="Those that match."),),
    errors=(InvalidName, InvalidValue),
)
READ = Operation(
    method="GET",
    path=f"{PATH}/{{id}}",
    action="recordings:read",
    summary="One recording as it is on disk.",
    answers=(Answer(media_type=BINARY, doc="The file."),),
    errors=(*_ERRORS, RecordingTooNew),
)
MODULE = Operation(
    method="GET",
    path=f"{PATH}/modules/{{id}}",
    action="recordings:read",
    summary="A module that was recorded, by its SHA-256.",
    answers=(Answer(media_type=BINARY, doc="The WebAssembly."),),
    errors=_ERRORS,
)


def recording_routes(recordings: RecordingService) -> list[Route]:
    """The routes of this module."""

    async def list_(request: ApiRequest) -> Reply:
        wanted = RecordingFilter(
            agent=request.read(AGENT), conversation_id=request.read(CONVERSATION), message_id=request.read(MESSAGE)
        )
        return json_reply(await recordings.list(request.workspace, wanted, limit=request.read(LIMIT)))

    async def read(request: ApiRequest) -> Reply:
        return Reply(
            await recordings.read(request.workspace, request.scope["path_params"].get("id", "")), headers=(BINARY_TYPE,)
        )

    async def module(request: ApiRequest) -> Reply:
        return Reply(
            await recordings.module(request.workspace, request.scope["path_params"].get("id", "")),
            headers=(BINARY_TYPE,),
        )

    return [Route(LIST, list_), Route(READ, read), Route(MODULE, module)]
