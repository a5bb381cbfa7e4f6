"""Who receives a message: whether anybody does, and whether there is room for it."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError, quoted


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
