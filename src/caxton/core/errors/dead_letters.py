"""Dead letters, and the store that keeps them."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError, quoted


class DeadLetterNotFound(CaxtonError):
    """No such dead letter in this workspace: there never was one, or it was purged, or let go after its time."""

    code = "DEAD_LETTER_NOT_FOUND"

    def __init__(self, letter_id: str) -> None:
        super().__init__(f"there is no dead letter {quoted(letter_id)}; 'caxton dlq list' shows those that are kept")
        self.id = letter_id


class DeadLetterDamaged(CaxtonError):
    """What the disk holds of a dead letter is not what was written."""

    code = "DEAD_LETTER_DAMAGED"

    def __init__(self, letter_id: str) -> None:
        super().__init__(
            f"dead letter {letter_id} does not fit its checksum any more, so it is neither shown nor replayed; "
            f"check the disk, restore a backup, or let go of it with 'caxton dlq purge {letter_id}'"
        )
        self.id = letter_id


class DeadLettersFull(CaxtonError):
    """The store of dead letters is at its limit, and none is dropped to make room: new messages have to wait."""

    code = "DEAD_LETTERS_FULL"

    def __init__(self, letters: int, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"{letters} dead letters take {size_bytes} bytes, the limit is {limit_bytes}, and new messages are refused "
            "until there is room; look with 'caxton dlq list', then 'caxton dlq replay' or 'caxton dlq purge'"
        )
        self.letters, self.size_bytes, self.limit_bytes = letters, size_bytes, limit_bytes
