"""The tools that MCP clients are offered, in our own words: which there are, who may call them, what each does.

Knows nothing of the SDK. A tool asks for the action of the REST call that does the same, and a refusal is an answer
that says so: the model that called can read it and do better.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
from msgspec import Meta

from caxton.api.errors import to_problem
from caxton.api.messages import MAX_WAIT_S, parse_conversation_id, parse_message_id
from caxton.api.tracing import MAX_MESSAGES
from caxton.core.errors.access import Forbidden
from caxton.core.errors.agents import AgentNotFound
from caxton.core.errors.messages import InvalidMessage
from caxton.core.errors.receivers import CapabilityNotFound
from caxton.core.errors.requests import InvalidRequest
from caxton.core.ids import AgentName
from caxton.core.views.traces import MAX_LAST_S, TraceFilter
from caxton.messages.codec import ANY_SIZE, decode_message, decode_posted
from caxton.security.policy import authorize
from caxton.services.mcp import Exposed, parse_exposed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from caxton.api.meter import Meter
    from caxton.api.services import Services
    from caxton.core.ids import WorkspaceName
    from caxton.messages.message import AclMessage
    from caxton.security.principal import Principal

NOT_DONE = ("failure", "refuse", "not-understood")
"""Answers that say that the agent did not do it."""

MAX_AGENTS = 1000
"""On one page of `agent_list`."""

Text = Annotated[str, Meta(max_length=1024)]
Wait = Annotated[float, Meta(ge=0.001, le=MAX_WAIT_S)]


class Send(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What `message_send` is given."""

    to: Annotated[
        str | list[str] | None, Meta(description="Agent, topic://TOPIC or broadcast://GROUP; or several.")
    ] = None
    capability: Annotated[str | None, Meta(description="Instead of `to`: any agent that offers this.")] = None
    performative: Annotated[str, Meta(description="What the message does: request, inform, query-ref, …")] = "request"
    content: Annotated[Any, Meta(description="What is said: any JSON value.")] = None
    wait_s: Annotated[
        Wait | None, Meta(description="Wait so many seconds for the reply. Without it: return once it is on disk.")
    ] = None
    conversation_id: Annotated[
        Text | None, Meta(description="Conversation that it belongs to. Default: a new one.")
    ] = None
    protocol: Annotated[Text | None, Meta(description="FIPA protocol, like fipa-request.")] = None
    ontology: Annotated[Text | None, Meta(description="What the words of the content mean.")] = None
    language: Annotated[Text | None, Meta(description="Language of the content.")] = None
    reply_with: Annotated[Text | None, Meta(description="Mark that the reply should carry.")] = None
    in_reply_to: Annotated[Text | None, Meta(description="The reply_with of the message answered.")] = None
    message_id: Annotated[
        str | None, Meta(description="Sent again under the same id, the message is handled once.")
    ] = None


class Trace(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What `conversation_trace` is given."""

    conversation_id: Annotated[Text | None, Meta(description="Which conversation. Either this or message_id.")] = None
    message_id: Annotated[
        Text | None, Meta(description="Which message, with those that led to it and those that it led to.")
    ] = None
    last_s: Annotated[
        Annotated[float, Meta(gt=0, le=MAX_LAST_S)] | None, Meta(description="Only what ended within so many seconds.")
    ] = None
    agent: Annotated[Text | None, Meta(description="Only what this agent sent or got.")] = None
    errors: Annotated[bool, Meta(description="Only what went wrong, and what led to it.")] = False
    limit: Annotated[Annotated[int, Meta(ge=1, le=MAX_MESSAGES)], Meta(description="How many messages at most.")] = 100


class ListAgents(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What `agent_list` is given."""

    limit: Annotated[Annotated[int, Meta(ge=1, le=MAX_AGENTS)], Meta(description="How many at most.")] = 100
    offset: Annotated[Annotated[int, Meta(ge=0)], Meta(description="How many to skip.")] = 0


class Ask(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the tool of an agent or a capability is given."""

    content: Annotated[Any, Meta(description="What is asked: any JSON value.")] = None
    timeout_s: Annotated[Wait, Meta(description="How many seconds to wait for the answer.")] = 30.0
    conversation_id: Annotated[Text | None, Meta(description="Go on with this conversation. Default: a new one.")] = (
        None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls a tool, as the guard has found."""

    principal: Principal
    workspace: WorkspaceName
    traceparent: str
    """Of the HTTP request, or what the call itself named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a tool says."""

    text: str
    structured: dict[str, Any] | None = None
    is_error: bool = False
    meta: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One tool."""

    name: str
    description: str
    arguments: type[msgspec.Struct]
    action: str
    """What the policy is asked."""
    run: Callable[[Caller, Any], Awaitable[Answer]]
    is_read_only: bool = False

    @property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of its arguments."""
        return schema_of(self.arguments)


class UnknownTool(Exception):
    """There is no tool of this name."""


def schema_of(arguments: type[msgspec.Struct]) -> dict[str, Any]:
    """JSON Schema of an object with the fields of `arguments`."""
    _, found = msgspec.json.schema_components([arguments])
    schema = dict(found[arguments.__name__])
    del schema["title"], schema["description"]
    return schema


class McpTools:
    """All tools, over the services that REST calls as well."""

    def __init__(self, services: Services, meter: Meter) -> None:
        self._services, self._meter = services, meter
        self._own = {tool.name: tool for tool in self._own_tools()}

    def list(self, caller: Caller) -> list[Tool]:
        """The tools that this caller may use."""
        return [tool for tool in self._all(caller.workspace) if self._may(caller, tool)]

    def exposed(self, workspace: WorkspaceName) -> tuple[str, ...]:
        """What `workspace` exposes and what is there: when this is another, so is the list."""
        return tuple(f"{one.kind}:{one.name}" for one in self._exposed(workspace))

    async def call(self, caller: Caller, name: str, arguments: dict[str, Any]) -> Answer:
        """Call a tool. Raises `UnknownTool`; any other failure is an answer with `is_error`."""
        tool = self._find(caller.workspace, name)
        try:
            authorize(caller.principal, tool.action, caller.workspace)
            return await tool.run(caller, _read(arguments, tool.arguments))
        except Exception as exc:  # the wall: what goes wrong in a tool is told to who called it
            if isinstance(exc, Forbidden):
                self._meter.forbidden(tool.action)
            problem = to_problem(exc, trace_id=caller.traceparent[3:35], path=f"tool {name}")
            told = {"code": problem.code, "detail": problem.detail, "details": problem.details}
            structured = msgspec.json.decode(msgspec.json.encode({"error": told}, enc_hook=str))
            return Answer(text=f"{problem.code}: {problem.detail}", structured=structured, is_error=True)

    def _all(self, workspace: WorkspaceName) -> list[Tool]:
        return [*self._own.values(), *map(self._tool_of, self._exposed(workspace))]

    def _find(self, workspace: WorkspaceName, name: str) -> Tool:
        if name in self._own:
            return self._own[name]
        for exposed in self._exposed(workspace):
            if exposed.name == name:
                return self._tool_of(exposed)
        raise UnknownTool(name)

    def _exposed(self, workspace: WorkspaceName) -> list[Exposed]:
        entries = self._services.workspaces.settings(workspace).mcp.expose
        return [one for one in parse_exposed(entries) if self._is_there(workspace, one)]

    def _is_there(self, workspace: WorkspaceName, exposed: Exposed) -> bool:
        try:
            if exposed.kind == "agent":
                self._services.agents.get(workspace, AgentName(exposed.name))
            else:
                self._services.capabilities.get(workspace, exposed.name)
        except (AgentNotFound, CapabilityNotFound):
            return False
        return True

    def _may(self, caller: Caller, tool: Tool) -> bool:
        try:
            authorize(caller.principal, tool.action, caller.workspace)
        except Forbidden:
            return False
        return True

    def _own_tools(self) -> list[Tool]:
        return [
            Tool(
                name="message_send", arguments=Send, action="messages:write", run=self._send,
                description="Send a message to agents. With wait_s the answer to it is returned, else its ids.",
            ),
            Tool(
                name="conversation_trace", arguments=Trace, action="conversations:read", run=self._trace,
                description="What happened in a conversation or because of a message, and what is not over.",
                is_read_only=True,
            ),
            Tool(
                name="agent_list", arguments=ListAgents, action="agents:read", run=self._list, is_read_only=True,
                description="The agents that are deployed, how they are and what they offer.",
            ),
        ]  # fmt: skip

    def _tool_of(self, exposed: Exposed) -> Tool:
        whom = f"the agent '{exposed.name}'" if exposed.kind == "agent" else f"an agent that offers '{exposed.name}'"

        async def run(caller: Caller, said: Ask) -> Answer:
            target = {"receiver": exposed.name} if exposed.kind == "agent" else {"capability": exposed.name}
            fields = {**target, "content": said.content, "conversation_id": said.conversation_id}
            return await self._ask(caller, _message(caller, fields), said.timeout_s)

        return Tool(
            name=exposed.name, arguments=Ask, action="messages:write", run=run,
            description=f"Ask {whom}, and wait for its answer.",
        )  # fmt: skip

    async def _send(self, caller: Caller, said: Send) -> Answer:
        if (said.to is None) == (said.capability is None):
            raise InvalidRequest("name the receiver: either to or capability", field="arguments")
        fields: dict[str, Any] = msgspec.structs.asdict(said)
        wait_s, fields["receiver"] = fields.pop("wait_s"), fields.pop("to") or ""
        if said.message_id is not None:
            parse_message_id(said.message_id)
        message = _message(caller, fields)
        if wait_s is not None:
            return await self._ask(caller, message, wait_s)
        receipt = await self._services.messages.post(caller.workspace, caller.principal, message)
        return _of_view(receipt)

    async def _ask(self, caller: Caller, message: AclMessage, wait_s: float) -> Answer:
        """As `POST /api/v1/messages?wait=`: the message stays accepted when nobody waits for its reply any more."""
        reply = await self._services.messages.ask(caller.workspace, caller.principal, message, timeout_s=wait_s)
        return answer_of(decode_message(reply, max_bytes=ANY_SIZE))

    async def _trace(self, caller: Caller, said: Trace) -> Answer:
        if (said.conversation_id is None) == (said.message_id is None):
            raise InvalidRequest("give either conversation_id or message_id", field="arguments")
        wanted = TraceFilter(
            conversation_id=said.conversation_id, message_id=said.message_id, last_s=said.last_s, agent=said.agent,
            errors=said.errors, bodies=False,
        )  # fmt: skip
        return _of_view(await self._services.traces.trace(caller.workspace, wanted, limit=said.limit))

    async def _list(self, caller: Caller, said: ListAgents) -> Answer:
        views = self._services.agents.list(caller.workspace)
        return _of_view({"agents": views[said.offset : said.offset + said.limit], "total": len(views)})


def answer_of(reply: AclMessage) -> Answer:
    """An agent's reply: its content as text, and as an object; one that is no object stands under `result`."""
    raw = bytes(reply.content) or b"null"
    text, structured = raw.decode("utf-8", "replace"), None
    # A lone surrogate or a number without end is JSON, and nothing that a program can hold.
    with contextlib.suppress(msgspec.DecodeError):
        value: Any = msgspec.json.decode(raw)
        text = value if isinstance(value, str) else text
        structured = cast("dict[str, Any]", value) if isinstance(value, dict) else {"result": value}
    said = {
        "caxton/performative": str(reply.performative), "caxton/sender": reply.sender,
        "caxton/message_id": reply.message_id, "caxton/conversation_id": reply.conversation_id or "",
    }  # fmt: skip
    return Answer(text=text, structured=structured, is_error=reply.performative in NOT_DONE, meta=said)


def _of_view(view: object) -> Answer:
    data = msgspec.json.encode(view)
    return Answer(text=data.decode(), structured=msgspec.json.decode(data))


def _read(arguments: dict[str, Any], kind: type[msgspec.Struct]) -> msgspec.Struct:
    try:
        return msgspec.convert(arguments, kind)
    except msgspec.ValidationError as exc:
        raise InvalidRequest(str(exc), field="arguments") from exc


def _message(caller: Caller, fields: dict[str, Any]) -> AclMessage:
    """A message as if it had been posted; the same rules hold. Raises `InvalidMessage`, …"""
    said = {key: value for key, value in fields.items() if value is not None or key == "content"}
    if isinstance(conversation := said.get("conversation_id"), str):
        parse_conversation_id(conversation)
    try:
        data = msgspec.json.encode({"performative": "request", **said})
    except (OverflowError, ValueError, TypeError, RecursionError) as exc:
        raise InvalidMessage("it cannot be written as JSON", field="content") from exc
    message = decode_posted(data)
    message.traceparent = caller.traceparent
    return message
