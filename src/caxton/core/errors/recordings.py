"""Recordings of what an instance was given."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError, quoted


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
