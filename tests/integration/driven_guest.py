"""One guest without a node: handed messages and timers one by one, so that a test decides what it hears and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from caxton.messages.codec import decode_message
from caxton.sandbox.guest import Guest
from caxton.sandbox.limits import Limits
from caxton.testing.guests import RecordingHost, handle, load, to_end

if TYPE_CHECKING:
    from caxton.messages.message import AclMessage
    from caxton.sandbox.engine import Engine


class DrivenGuest:
    """A started guest and its host."""

    def __init__(self, engine: Engine, wasm: bytes) -> None:
        self.host = RecordingHost()
        self._guest = Guest(load(engine, wasm), Limits(), self.host)
        assert to_end(self._guest.boot()) == 0

    def tell(self, **fields: Any) -> list[AclMessage]:
        """Hand it a message; what it sends."""
        self.tell_json(msgspec.json.encode(fields))
        return self.sent()

    def tell_json(self, message: bytes, *, result: int = 0) -> list[str]:
        """Hand it the JSON of a message; the lines that it logs."""
        del self.host.lines[:], self.host.sent[:]
        assert handle(self._guest, message) == result
        return [text.decode() for _, text, _ in self.host.lines]

    def sent(self) -> list[AclMessage]:
        """What it sent on the last message."""
        return [decode_message(data) for data in self.host.sent]

    def close(self) -> None:
        """Free it."""
        self._guest.close()
