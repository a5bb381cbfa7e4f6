"""Agents: their names, their states, and how they come up and fail."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError, quoted


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
