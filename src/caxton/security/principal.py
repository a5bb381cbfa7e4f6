"""Somebody who acts: a person, a program, later a node."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, once that is proven."""

    name: str
    """As it stands in logs and, behind `client:`, as sender of messages."""
    roles: frozenset[str]


ANONYMOUS = Principal("anonymous", frozenset())
"""Somebody without a token."""
