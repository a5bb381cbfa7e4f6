"""Calls about the server's journal."""

from __future__ import annotations

from typing import TypeVar

from caxton.client.transport import Timeout, Transport
from caxton.core.views.storage import CompactReport, StorageView, VerifyReport

UPKEEP_TIMEOUT_S = 3600.0
"""Reading gigabytes takes minutes."""

T = TypeVar("T")


class StorageCalls(Transport):
    """What is stored, and looking after it."""

    def storage(self) -> StorageView:
        """What the journal holds, how much room that takes, and its limits."""
        return self._get("/api/v1/storage", StorageView)

    def verify_storage(self) -> VerifyReport:
        """Have every page and row of the journal compared with its checksum. Takes minutes for gigabytes."""
        return self._upkeep("verify", VerifyReport)

    def compact_storage(self) -> CompactReport:
        """Have the journal let go of what it need not keep, and give room back to the disk."""
        return self._upkeep("compact", CompactReport)

    def _upkeep(self, what: str, kind: type[T]) -> T:
        path = f"/api/v1/storage/{what}"
        return self._decode(self._request("POST", path, timeout=Timeout(UPKEEP_TIMEOUT_S)), kind)
