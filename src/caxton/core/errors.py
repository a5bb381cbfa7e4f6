"""The error tree. Every deliberate error has a public `code` that never changes its meaning.

A class takes facts, keeps them as attributes and writes its own sentence: what happened, to which thing, the limit and
the value, what to do next. Text of strangers (guests, clients) appears only as `repr`, cut to a readable length.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_QUOTED = 80
"""Longest piece of somebody else's text that an error repeats; a terminal line."""


def quoted(value: object) -> str:
    """`value` as `repr`, cut to `MAX_QUOTED` characters: safe to print, never a flood."""
    text = repr(value[: MAX_QUOTED + 1] if isinstance(value, str | bytes) else value)
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"


class CaxtonError(Exception):
    """Base of all deliberate errors. `details()` gives the facts for a machine to read."""

    code: str = "INTERNAL_ERROR"

    def details(self) -> dict[str, Any]:
        """The facts of this error as JSON-ready values; the names are those of its attributes."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class InternalError(CaxtonError):
    """Something went wrong that is our fault."""

    def __init__(self) -> None:
        super().__init__("internal error; the server log has the details under this trace id")


# --- names and input ---------------------------------------------------------------------------------------------


class InvalidRequest(CaxtonError):
    """A request body, query or header breaks its rule."""

    code = "INVALID_REQUEST"

    def __init__(self, reason: str, *, field: str | None = None) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field


class InvalidName(CaxtonError):
    """A name from outside is not one."""

    code = "INVALID_NAME"

    def __init__(self, kind: str, value: object) -> None:
        super().__init__(
            f"{quoted(value)} is no {kind}: use 1 to 64 letters, digits, '-' or '_', beginning with a letter or digit"
        )
        self.kind = kind


class InvalidValue(CaxtonError):
    """A size, duration or number breaks its rule or its bounds."""

    code = "INVALID_VALUE"

    def __init__(self, what: str, value: object, rule: str) -> None:
        super().__init__(f"{what}: {quoted(value)} will not do; {rule}")
        self.what = what


class WorkspaceNotFound(CaxtonError):
    """No such workspace."""

    code = "WORKSPACE_NOT_FOUND"

    def __init__(self, workspace: str) -> None:
        super().__init__(f"there is no workspace {quoted(workspace)}; this server has 'default'")
        self.workspace = workspace


# --- modules -----------------------------------------------------------------------------------------------------


class InvalidWasm(CaxtonError):
    """The bytes are no WebAssembly module that Caxton can host."""

    code = "INVALID_WASM"

    def __init__(self, reason: str) -> None:
        super().__init__(f"this module cannot be hosted: {reason}")
        self.reason = reason


class WasmTooLarge(CaxtonError):
    """The module is over the size limit."""

    code = "WASM_TOO_LARGE"

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the module has {size_bytes} bytes, the limit is {limit_bytes}; strip debug information (wasm-strip, -s)"
        )
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes


class CompileLimitExceeded(CaxtonError):
    """The compiler ran out of its time or memory on this module."""

    code = "COMPILE_LIMIT_EXCEEDED"

    def __init__(self, cpu_s: int, memory_bytes: int) -> None:
        super().__init__(
            f"compiling this module needs more than {cpu_s} s of CPU or {memory_bytes >> 20} MiB; make it smaller"
        )
        self.cpu_s, self.memory_bytes = cpu_s, memory_bytes


class SandboxUnavailable(CaxtonError):
    """The WebAssembly engine on this machine is not the one that Caxton was built for."""

    code = "SANDBOX_UNAVAILABLE"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the sandbox cannot start: {reason}; mend that, or reinstall Caxton with its locked packages")


# --- agents ------------------------------------------------------------------------------------------------------


class AgentNotFound(CaxtonError):
    """No agent of that name in this workspace."""

    code = "AGENT_NOT_FOUND"

    def __init__(self, name: str, *, nearest: str | None = None) -> None:
        hint = f"did you mean {quoted(nearest)}?" if nearest else "'caxton agent list' shows what is deployed"
        super().__init__(f"there is no agent {quoted(name)}; {hint}")
        self.name, self.nearest = name, nearest


class AgentAlreadyExists(CaxtonError):
    """The name is taken."""

    code = "AGENT_ALREADY_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(f"agent {name!r} is deployed already; remove it first, or put a new version of it")
        self.name = name


class AgentNameReserved(CaxtonError):
    """The name is that of an agent which is part of every node."""

    code = "AGENT_NAME_RESERVED"

    def __init__(self, name: str, reserved: tuple[str, ...]) -> None:
        super().__init__(
            f"{name!r} is an agent of the server's own, like all of {', '.join(reserved)}; deploy under another name"
        )
        self.name, self.reserved = name, list(reserved)


class AgentStateConflict(CaxtonError):
    """The agent is in a state in which this cannot be done."""

    code = "AGENT_STATE_CONFLICT"

    def __init__(self, name: str, state: str, wanted: str) -> None:
        super().__init__(f"agent {name!r} is {state}; {wanted}")
        self.name, self.state = name, state


class AgentIsNative(CaxtonError):
    """One of the server's own agents has no instance, and so no state, memory, stack or profile."""

    code = "AGENT_IS_NATIVE"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"agent {name!r} is the server's own and has no instance to look into; its figures and mail can be seen "
            f"('caxton debug agent {name}', with --mailbox)"
        )
        self.name = name


class AgentDown(CaxtonError):
    """The agent is meant to run and no instance of it does; what monitoring is told."""

    code = "AGENT_DOWN"

    def __init__(self, name: str, state: str, reason: str | None) -> None:
        why = f": {quoted(reason)}" if reason else ""
        super().__init__(f"agent {name!r} is {state}{why}; 'caxton logs --agent {name}' has its log")
        self.name, self.state, self.reason = name, state, reason


class AgentFailed(CaxtonError):
    """The agent took a message and failed on it."""

    code = "AGENT_FAILED"

    def __init__(self, name: str, reason: str, *, trap: str | None, functions: list[str], log: list[str]) -> None:
        super().__init__(f"agent {name!r} failed on this message: {reason}; 'caxton logs --agent {name}' has its log")
        self.name, self.trap, self.functions, self.log = name, trap, functions, log


class DeploymentFailed(CaxtonError):
    """The module is fine but the agent did not come up, so nothing was deployed."""

    code = "DEPLOYMENT_FAILED"

    def __init__(self, name: str, reason: str, *, log: list[str]) -> None:
        super().__init__(f"agent {name!r} did not start, so nothing was deployed: {reason}")
        self.name, self.reason, self.log = name, reason, log


class TooManyInstances(CaxtonError):
    """The server holds as many sandboxes as it may."""

    code = "TOO_MANY_INSTANCES"

    def __init__(self, limit: int) -> None:
        super().__init__(f"this server holds its {limit} instances already; remove agents or raise max_instances")
        self.limit = limit


class TooManyListeners(CaxtonError):
    """As many listen to what agents say, or follow their logs, as may."""

    code = "TOO_MANY_LISTENERS"

    def __init__(self, limit: int, to: str = "to the messages") -> None:
        super().__init__(f"{limit} listen {to} of this server already, which is the limit; end one of them")
        self.limit = limit


# --- messages ----------------------------------------------------------------------------------------------------


class InvalidMessage(CaxtonError):
    """Not JSON, or a field of the message breaks its rule; `field` names it."""

    code = "INVALID_MESSAGE"

    def __init__(self, reason: str, *, field: str | None = None) -> None:
        super().__init__(f"the message was refused: {reason}")
        self.field = field


class MessageTooLarge(CaxtonError):
    """The message is over the size limit."""

    code = "MESSAGE_TOO_LARGE"

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the message has {size_bytes} bytes, the limit is {limit_bytes}; send a reference to the data instead"
        )
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes


class MessageExpired(CaxtonError):
    """Its `reply_by` had passed when it came, so nobody would want the answer."""

    code = "MESSAGE_EXPIRED"

    def __init__(self, reply_by: str, late_s: float) -> None:
        super().__init__(
            f"the message was refused: its reply_by {quoted(reply_by)} passed {late_s:.3f} s ago; "
            "send it with a later one, if it is still wanted"
        )
        self.reply_by, self.late_s = reply_by, late_s


class ProtocolViolation(CaxtonError):
    """The message names an interaction protocol and may not be said now, by this sender to this receiver."""

    code = "PROTOCOL_VIOLATION"

    def __init__(
        self, act: str, protocol: str, conversation_id: str | None, reason: str, state: str, allowed: list[str]
    ) -> None:
        instead = f"allowed now: {', '.join(allowed)}" if allowed else "nothing is allowed here now"
        where = "a new conversation" if conversation_id is None else f"the conversation {quoted(conversation_id)}"
        super().__init__(f"{act!r} is out of place in {where} ({quoted(protocol)}, state {state}): {reason}; {instead}")
        self.act, self.protocol, self.conversation_id = act, protocol, conversation_id
        self.reason, self.state, self.allowed = reason, state, allowed


class MessageIdConflict(CaxtonError):
    """The same sender posted another message under this id a moment ago."""

    code = "MESSAGE_ID_CONFLICT"

    def __init__(self, message_id: str, window_s: float) -> None:
        super().__init__(
            f"another message was accepted under the id {quoted(message_id)} within the last {window_s:g} s; "
            "give each message an id of its own, and repeat one only as it was"
        )
        self.message_id, self.window_s = message_id, window_s


class UnknownReceiver(CaxtonError):
    """Nobody of that name or capability can receive."""

    code = "UNKNOWN_RECEIVER"

    def __init__(self, receiver: str) -> None:
        super().__init__(f"nobody here receives for {quoted(receiver)}; 'caxton agent list' shows who could")
        self.receiver = receiver


class CapabilityNotFound(CaxtonError):
    """No agent offers the capability."""

    code = "CAPABILITY_NOT_FOUND"

    def __init__(self, capability: str, nearest: list[str]) -> None:
        alike = " or ".join(quoted(name) for name in nearest)
        hint = f"did you mean {alike}?" if nearest else "'caxton capability list' shows what is offered"
        super().__init__(f"no agent offers the capability {quoted(capability)}; {hint}")
        self.capability, self.nearest = capability, nearest


class MailboxFull(CaxtonError):
    """The receiver holds as much unhandled mail as its quota allows."""

    code = "MAILBOX_FULL"

    def __init__(self, receiver: str, limit_messages: int, limit_bytes: int) -> None:
        super().__init__(
            f"the mailbox of {quoted(receiver)} is full ({limit_messages} messages or {limit_bytes >> 20} MiB); "
            "retry later"
        )
        self.receiver, self.limit_messages, self.limit_bytes = receiver, limit_messages, limit_bytes


class CircuitOpen(CaxtonError):
    """The receiver failed too often in a row: nobody may wait for its reply now. Mail without a waiter is taken."""

    code = "CIRCUIT_OPEN"

    def __init__(self, name: str, failures: int, retry_after_s: float) -> None:
        super().__init__(
            f"agent {name!r} failed {failures} times in a row and is not asked for now; "
            f"it is tried again in {retry_after_s:.1f} s, 'caxton logs --agents {name}' has its log"
        )
        self.name, self.failures, self.retry_after_s = name, failures, round(retry_after_s, 3)


class BulkheadFull(CaxtonError):
    """As many callers as may wait for the receiver's replies at once."""

    code = "BULKHEAD_FULL"

    def __init__(self, name: str, max_waiting: int) -> None:
        super().__init__(
            f"{max_waiting} callers wait for replies of agent {name!r}, which is its limit (bulkhead.max_waiting); "
            "retry later, or send without waiting"
        )
        self.name, self.max_waiting = name, max_waiting


class WorkspaceFull(CaxtonError):
    """All agents of a workspace together hold as much unhandled mail as its quota allows."""

    code = "WORKSPACE_FULL"

    def __init__(self, workspace: str, limit_messages: int, limit_bytes: int) -> None:
        super().__init__(
            f"the agents of workspace {quoted(workspace)} hold as much unhandled mail as they may ({limit_messages} "
            f"messages or {limit_bytes >> 20} MiB); retry later, and look for the agent that does not keep up"
        )
        self.workspace, self.limit_messages, self.limit_bytes = workspace, limit_messages, limit_bytes


class DeadLetterNotFound(CaxtonError):
    """No such dead letter in this workspace: there never was one, or it was purged, or let go after its time."""

    code = "DEAD_LETTER_NOT_FOUND"

    def __init__(self, letter_id: str) -> None:
        super().__init__(f"there is no dead letter {quoted(letter_id)}; 'caxton dlq list' shows those that are kept")
        self.id = letter_id


class ConversationNotFound(CaxtonError):
    """Nothing is known of such a conversation in this workspace: none began, or it ended long ago."""

    code = "CONVERSATION_NOT_FOUND"

    def __init__(self, conversation_id: str) -> None:
        super().__init__(
            f"there is no conversation {quoted(conversation_id)} that follows a protocol; 'caxton conversations list' "
            "shows those that are known, 'caxton message list' has free messages"
        )
        self.conversation_id = conversation_id


class ConversationNotRecorded(ConversationNotFound):
    """Nothing of such a conversation is recorded or waits, so nothing of it can be traced."""

    def __init__(self, conversation_id: str, recorded_s: float | None) -> None:
        CaxtonError.__init__(
            self,
            f"nothing is known of a conversation {quoted(conversation_id)}; {_reach(recorded_s)}; "
            "'caxton sniff' shows the ids of those that go on",
        )
        self.conversation_id, self.recorded_s = conversation_id, recorded_s


class MessageNotFound(CaxtonError):
    """Nothing of such a message is recorded, and it does not wait: it never was, or it is long over."""

    code = "MESSAGE_NOT_FOUND"

    def __init__(self, message_id: str, recorded_s: float | None) -> None:
        super().__init__(
            f"nothing is known of a message {quoted(message_id)}; {_reach(recorded_s)}; "
            "'caxton trace --conversation-id ID --format json' has the ids of a conversation's messages"
        )
        self.message_id, self.recorded_s = message_id, recorded_s


def _reach(recorded_s: float | None) -> str:
    """How far back the flight recorder goes, for people."""
    if recorded_s is None:
        return "the flight recorder has nothing (is recorder.size 0?)"
    reach = f"{recorded_s:.0f} s" if recorded_s < 120 else f"{recorded_s / 60:.0f} min"
    return f"the flight recorder goes back {reach}"


class ConversationOver(CaxtonError):
    """A conversation has ended, so nothing can be done in it any more."""

    code = "CONVERSATION_OVER"

    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"conversation {quoted(conversation_id)} has ended; there is nothing left to cancel")
        self.conversation_id = conversation_id


class DeadLetterDamaged(CaxtonError):
    """What the disk holds of a dead letter is not what was written."""

    code = "DEAD_LETTER_DAMAGED"

    def __init__(self, letter_id: str) -> None:
        super().__init__(
            f"dead letter {letter_id} does not fit its checksum any more, so it is neither shown nor replayed; "
            f"check the disk, restore a backup, or let go of it with 'caxton dlq purge {letter_id}'"
        )
        self.id = letter_id


class RecordingNotFound(CaxtonError):
    """No such recording in this workspace: there never was one, or it was let go of to make room."""

    code = "RECORDING_NOT_FOUND"

    def __init__(self, recording_id: str) -> None:
        super().__init__(
            f"there is no recording {quoted(recording_id)}; 'GET /api/v1/recordings' has those that are kept"
        )
        self.id = recording_id


class RecordingTooNew(CaxtonError):
    """A recording has another format than this version of Caxton reads. The file stays as it is."""

    code = "RECORDING_TOO_NEW"

    def __init__(self, name: str, found: int, known: int) -> None:
        super().__init__(
            f"recording {quoted(name)} has format {found}, this Caxton reads format {known}; the file was left as it "
            "is, replay it with the version that made it"
        )
        self.name, self.found, self.known = name, found, known


class RecordingDamaged(CaxtonError):
    """What the disk holds of a recording is not what was written. The file stays as it is."""

    code = "RECORDING_DAMAGED"

    def __init__(self, name: str, reason: str, at: int = 0) -> None:
        """Args:
        name: of its file, or its id.
        reason: what is wrong.
        at: where the damage begins, in bytes; what is before it can be read.
        """
        super().__init__(f"recording {quoted(name)} cannot be read: {reason}; the file was left as it is")
        self.name, self.reason, self.at = name, reason, at


class RecordingTooLarge(CaxtonError):
    """What an instance begins with takes more than the recording of one may take: it is not recorded."""

    code = "RECORDING_TOO_LARGE"

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the state that it begins with takes {size_bytes} bytes, and one recording may take {limit_bytes}: "
            "raise storage.max_recordings to four times what is needed, or more"
        )
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes


class NothingRecorded(CaxtonError):
    """There is no recording of what is to be replayed."""

    code = "NOTHING_RECORDED"

    def __init__(self, what: str, reasons: list[str], *, silent: list[str]) -> None:
        """Args:
        what: is to be replayed, as a noun.
        reasons: what is known of why there is none, each a clause.
        silent: agents that do not record and would have to.
        """
        advice = [
            f"'caxton config set --agent {name} --record=true' records from then on, what was not recorded cannot be "
            "replayed"
            for name in silent[:1]
        ]
        said = [f"nothing that can be read is recorded of {what}", *reasons, *advice]
        super().__init__("; ".join(said))
        self.reasons, self.agents = reasons, silent


class DeadLettersFull(CaxtonError):
    """The store of dead letters is at its limit, and none is dropped to make room: new messages have to wait."""

    code = "DEAD_LETTERS_FULL"

    def __init__(self, letters: int, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"{letters} dead letters take {size_bytes} bytes, the limit is {limit_bytes}, and new messages are refused "
            "until there is room; look with 'caxton dlq list', then 'caxton dlq replay' or 'caxton dlq purge'"
        )
        self.letters, self.size_bytes, self.limit_bytes = letters, size_bytes, limit_bytes


class RateLimited(CaxtonError):
    """More was asked for than may be done in a second."""

    code = "RATE_LIMITED"

    def __init__(self, what: str, per_s: float, wait_s: float) -> None:
        whole_s = max(1, math.ceil(wait_s))
        super().__init__(f"{what}: at most {per_s:g} a second; go on in {whole_s} s")
        self.per_s, self.retry_after_s = per_s, whole_s


class ReplyTimeout(CaxtonError):
    """No reply came within the deadline. The message itself stays accepted."""

    code = "REPLY_TIMEOUT"

    def __init__(self, receiver: str, timeout_s: float, conversation_id: str) -> None:
        super().__init__(
            f"{quoted(receiver)} did not reply within {timeout_s:g} s; "
            f"a later reply is kept under conversation {quoted(conversation_id)}"
        )
        self.receiver, self.timeout_s, self.conversation_id = receiver, timeout_s, conversation_id


# --- tasks -------------------------------------------------------------------------------------------------------


class TaskNotFound(CaxtonError):
    """No task has this id, or it ended so long ago that it is forgotten."""

    code = "TASK_NOT_FOUND"

    def __init__(self, task_id: str, *, nearest: str | None = None) -> None:
        hint = f"did you mean {quoted(nearest)}?" if nearest else "'caxton task list' shows those that are known"
        super().__init__(f"there is no task {quoted(task_id)}; {hint}")
        self.task_id, self.nearest = task_id, nearest


class TaskIdConflict(CaxtonError):
    """The id belongs to a task that asks for something else."""

    code = "TASK_ID_CONFLICT"

    def __init__(self, task_id: str) -> None:
        super().__init__(f"the task {quoted(task_id)} is there and asks for something else; give this one another id")
        self.task_id = task_id


class TaskEnded(CaxtonError):
    """The task has ended and cannot be cancelled any more."""

    code = "TASK_ENDED"

    def __init__(self, task_id: str, status: str) -> None:
        super().__init__(f"the task {quoted(task_id)} is {status} and cannot be cancelled any more")
        self.task_id, self.status = task_id, status


class TasksFull(CaxtonError):
    """There are as many open tasks as the server keeps, or they need as much room."""

    code = "TASKS_FULL"

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"the open tasks have reached their limit of {limit} {what}; try again once some have ended")
        self.what, self.limit = what, limit


# --- access ------------------------------------------------------------------------------------------------------


class Unauthorized(CaxtonError):
    """No token, or one that proves nothing. One text for all causes: it must not help a guesser."""

    code = "UNAUTHORIZED"

    def __init__(self) -> None:
        super().__init__("a valid token is needed: send 'Authorization: Bearer …' (the CLI finds it by itself)")


class Forbidden(CaxtonError):
    """The principal is known and may not do this."""

    code = "FORBIDDEN"

    def __init__(self, principal: str, action: str) -> None:
        super().__init__(f"{quoted(principal)} may not {action}; ask for a role that allows it")
        self.principal, self.action = principal, action


class HostNotAllowed(CaxtonError):
    """The Host or Origin header names another site: most likely a web page that reaches for this server."""

    code = "HOST_NOT_ALLOWED"

    def __init__(self, header: str, value: str) -> None:
        super().__init__(
            f"{header} {quoted(value)} is not this server's own; requests must come from programs or its own pages, "
            "for a host name listed in server.allowed_hosts"
        )
        self.header = header


# --- HTTP --------------------------------------------------------------------------------------------------------


class RouteNotFound(CaxtonError):
    """The API has no such path."""

    code = "ROUTE_NOT_FOUND"

    def __init__(self, path: str) -> None:
        super().__init__(f"there is nothing at {quoted(path)}; GET /api/v1/openapi.json lists what there is")


class MethodNotAllowed(CaxtonError):
    """The path is there, and does not take this method."""

    code = "METHOD_NOT_ALLOWED"

    def __init__(self, method: str, allowed: list[str]) -> None:
        super().__init__(f"{quoted(method)} does nothing here; use {' or '.join(allowed)}")
        self.allowed = allowed


class UnsupportedMediaType(CaxtonError):
    """The body is of a kind that this route does not read."""

    code = "UNSUPPORTED_MEDIA_TYPE"

    def __init__(self, header: str, value: str, wanted: list[str]) -> None:
        super().__init__(f"{header} {quoted(value)} is not read here; send {' or '.join(wanted)}")
        self.header, self.wanted = header, wanted


class BodyTooLarge(CaxtonError):
    """The request body is over the route's limit."""

    code = "BODY_TOO_LARGE"

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"the body has at least {size_bytes} bytes, the limit is {limit_bytes}; send less")
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes


class RequestTimeout(CaxtonError):
    """The request body did not arrive in time."""

    code = "REQUEST_TIMEOUT"

    def __init__(self, deadline_s: float) -> None:
        super().__init__(f"the body took longer than {deadline_s:g} s and nothing was done; send it again")
        self.deadline_s = deadline_s


# --- server and settings -----------------------------------------------------------------------------------------


class ShuttingDown(CaxtonError):
    """The server is draining and takes no new work."""

    code = "SHUTTING_DOWN"

    def __init__(self) -> None:
        super().__init__("the server is stopping and takes no new work; retry against it once it is back")


class ReplyInterrupted(CaxtonError):
    """The server stops while somebody waits for a reply. The message itself stays accepted."""

    code = "REPLY_INTERRUPTED"

    def __init__(self, message_id: str, conversation_id: str) -> None:
        super().__init__(
            f"the server is stopping before a reply came; message {message_id} is kept, so do not send it again: "
            f"its reply will be under conversation {quoted(conversation_id)} once the server is back"
        )
        self.message_id, self.conversation_id = message_id, conversation_id


class ServerNotReady(CaxtonError):
    """The server does not serve yet, or not any more."""

    code = "SERVER_NOT_READY"

    def __init__(self, status: str, reasons: Sequence[object] = ()) -> None:
        super().__init__(f"the server is {status}; its reasons say what to do")
        self.status, self.reasons = status, list(reasons)


class InvalidConfig(CaxtonError):
    """A setting is unknown or its value breaks its rule."""

    code = "INVALID_CONFIG"

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source


class DataDirInUse(CaxtonError):
    """Another server holds the data directory."""

    code = "DATA_DIR_IN_USE"

    def __init__(self, path: str, pid: int | None) -> None:
        holder = f"the server with process id {pid}" if pid else "another server"
        super().__init__(f"{path} is in use by {holder}; stop it ('caxton server stop') or choose another --data-dir")
        self.path, self.pid = path, pid


class DataDirUnusable(CaxtonError):
    """The data directory cannot be made, read or written."""

    code = "DATA_DIR_UNUSABLE"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot hold the server's data: {reason}; choose another --data-dir")
        self.path = path


class PortInUse(CaxtonError):
    """The address cannot be bound."""

    code = "PORT_IN_USE"

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {reason}; choose another --port, or stop what listens there")
        self.host, self.port = host, port


class StorageFailed(CaxtonError):
    """The journal could not be written; the server stops acknowledging."""

    code = "STORAGE_FAILED"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the journal cannot be written: {reason}; free or repair the disk, then start again")
        self.reason = reason

    @classmethod
    def of(cls, error: Exception) -> StorageFailed:
        """`error` as one of these, unless it is one already."""
        return error if isinstance(error, cls) else cls(str(error))


class StorageFull(CaxtonError):
    """The disk is full, or nearly: the server settles what it has and takes nothing new."""

    code = "STORAGE_FULL"

    def __init__(self, path: str, free_bytes: int, needed_bytes: int) -> None:
        super().__init__(
            f"the disk of {path} has {free_bytes >> 20} MiB left, so the server takes nothing new; free space until "
            f"there are {needed_bytes >> 20} MiB and it goes on by itself"
        )
        self.path, self.free_bytes, self.needed_bytes = path, free_bytes, needed_bytes


class JournalFull(CaxtonError):
    """The journal, or its write-ahead log, is as large as it may become."""

    code = "JOURNAL_FULL"

    def __init__(self, path: str, size_bytes: int, limit_bytes: int, advice: str) -> None:
        super().__init__(f"{path} holds {size_bytes >> 20} MiB of the {limit_bytes >> 20} MiB it may; {advice}")
        self.path, self.size_bytes, self.limit_bytes = path, size_bytes, limit_bytes


class JournalDamaged(CaxtonError):
    """What the journal's file says cannot be what was written."""

    code = "JOURNAL_DAMAGED"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path} is damaged: {reason}; restore the data directory from a backup, or see 'caxton storage verify'"
        )
        self.path, self.reason = path, reason


class JournalTooNew(CaxtonError):
    """The data was written by a later version of Caxton."""

    code = "JOURNAL_TOO_NEW"

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"the journal has schema version {found}, this Caxton knows up to {known}; use the later version"
        )
        self.found, self.known = found, known


class ServerUnreachable(CaxtonError):
    """The CLI or client found no server at the address."""

    code = "SERVER_UNREACHABLE"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"no Caxton server answers at {url} ({reason}); start one with 'caxton server start'")
        self.url = url


# --- client and command line -------------------------------------------------------------------------------------


class ServerTimeout(CaxtonError):
    """The server took the request and gave no answer in time. What was asked may still be done."""

    code = "SERVER_TIMEOUT"

    def __init__(self, url: str, timeout_s: float) -> None:
        super().__init__(
            f"{url} gave no answer within {timeout_s:g} s; it may still do what was asked: look, then retry"
        )
        self.url, self.timeout_s = url, timeout_s


class UnexpectedAnswer(CaxtonError):
    """Something answers at the address, and not as a Caxton server does."""

    code = "UNEXPECTED_ANSWER"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"what answers at {url} is no Caxton server: {reason}; check the address")
        self.url = url


class InvalidUsage(CaxtonError):
    """The command line cannot be understood."""

    code = "INVALID_USAGE"

    def __init__(self, reason: str, *, command: str | None = None) -> None:
        super().__init__(reason)
        self.command = command


class ContextNotFound(CaxtonError):
    """The contexts file has no context of that name."""

    code = "CONTEXT_NOT_FOUND"

    def __init__(self, name: str, *, nearest: str | None = None) -> None:
        hint = f"did you mean {quoted(nearest)}?" if nearest else "'caxton server start' makes the context 'local'"
        super().__init__(f"there is no context {quoted(name)}; {hint}")
        self.name, self.nearest = name, nearest


class FileMissing(CaxtonError):
    """A file named on the command line is not there."""

    code = "FILE_NOT_FOUND"

    def __init__(self, path: str) -> None:
        super().__init__(f"there is no file {quoted(path)}; a relative path starts in the current directory")
        self.path = path


class FileUnreadable(CaxtonError):
    """A file named on the command line cannot be read, or is not the kind of file it should be."""

    code = "FILE_UNREADABLE"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{quoted(path)} cannot be read: {reason}")
        self.path = path


class ServerNotRunning(CaxtonError):
    """No server runs on the data directory."""

    code = "SERVER_NOT_RUNNING"

    def __init__(self, data_dir: str) -> None:
        super().__init__(f"no server runs on {data_dir}; 'caxton server start' starts one, --data-dir names another")
        self.data_dir = data_dir


class ServerStartFailed(CaxtonError):
    """A server started in the background ended, or did not get ready in time."""

    code = "SERVER_START_FAILED"

    def __init__(self, reason: str, *, log_path: str, log: list[str]) -> None:
        super().__init__(f"the server did not start: {reason}; its log is {log_path}")
        self.reason, self.log_path, self.log = reason, log_path, log


class ServerStopTimeout(CaxtonError):
    """The server was asked to stop and is still there."""

    code = "SERVER_STOP_TIMEOUT"

    def __init__(self, pid: int, timeout_s: float) -> None:
        super().__init__(
            f"the server (process id {pid}) is still stopping after {timeout_s:g} s; wait, or kill it with --force"
        )
        self.pid, self.timeout_s = pid, timeout_s


class FileUnwritable(CaxtonError):
    """A file that a command was to write cannot be written."""

    code = "FILE_UNWRITABLE"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot be written: {reason}; name another file with --output")
        self.path, self.reason = path, reason


class OutsideMemory(CaxtonError):
    """A part of a guest's memory was asked for that is not there."""

    code = "OUTSIDE_MEMORY"

    def __init__(self, name: str, offset: int, length: int, memory_bytes: int) -> None:
        super().__init__(
            f"{length} bytes at {offset:#x} are outside the memory of agent {name!r}, which has {memory_bytes} bytes "
            f"(up to {memory_bytes:#x}); ask for less or for an earlier offset"
        )
        self.name, self.offset, self.length, self.memory_bytes = name, offset, length, memory_bytes


class ProfileRunning(CaxtonError):
    """The agent is being profiled already."""

    code = "PROFILE_RUNNING"

    def __init__(self, name: str) -> None:
        super().__init__(f"agent {name!r} is being profiled already; try again when that profile has ended")
        self.name = name


class ProfilerUnavailable(CaxtonError):
    """The WebAssembly engine was built without its profiler."""

    code = "PROFILER_UNAVAILABLE"

    def __init__(self, version: str) -> None:
        super().__init__(
            f"this build of wasmtime {version} has no guest profiler; reinstall Caxton with its locked packages, "
            "meanwhile 'caxton debug agent NAME --stack' shows where a busy guest is"
        )
        self.version = version
