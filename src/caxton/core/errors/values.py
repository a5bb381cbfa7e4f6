"""A name, size, duration or number from outside that breaks its rule."""

from __future__ import annotations

from caxton.core.errors.error import CaxtonError, quoted


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
