"""Topics and who is subscribed to them, also by pattern. Pure.

A topic has levels, divided by `/`. In a subscription `*` stands for any one level, and `**` at the end for one level or
more: `orders/*` has `orders/created`, and `orders/**` has `orders/created/today` too, but neither has `orders`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ONE, REST = "*", "**"


@dataclass(slots=True)
class _Node:
    below: dict[str, _Node] = field(default_factory=dict[str, "_Node"])
    names: set[str] = field(default_factory=set[str])


def is_topic(text: str) -> bool:
    """Whether something can be published there: no level is a pattern."""
    return "*" not in text


def is_pattern(text: str) -> bool:
    """Whether somebody can subscribe to it: `*` stands alone in its level, `**` in the last."""
    levels = text.split("/")
    return all("*" not in level or level == ONE for level in levels[:-1]) and (
        "*" not in levels[-1] or levels[-1] in (ONE, REST)
    )


class Topics:
    """Subscriptions of one workspace: pattern → names."""

    def __init__(self) -> None:
        self._root = _Node()
        self._count = 0

    def __len__(self) -> int:
        """How many subscriptions there are."""
        return self._count

    def add(self, pattern: str, name: str) -> None:
        """Subscribe `name`. Subscribing twice is subscribing once."""
        node = self._root
        for level in pattern.split("/"):
            node = node.below.setdefault(level, _Node())
        self._count += name not in node.names
        node.names.add(name)

    def discard(self, pattern: str, name: str) -> None:
        """End a subscription, if there is one."""
        path = [("", self._root)]
        for level in pattern.split("/"):
            node = path[-1][1].below.get(level)
            if node is None:
                return
            path.append((level, node))
        node = path[-1][1]
        self._count -= name in node.names
        node.names.discard(name)
        for (_, parent), (level, child) in zip(reversed(path[:-1]), reversed(path[1:]), strict=True):
            if not child.names and not child.below:
                del parent.below[level]

    def match(self, topic: str) -> set[str]:
        """Who is subscribed to `topic`, each once."""
        found: set[str] = set()
        nodes = [self._root]
        for level in topic.split("/"):
            found.update(*(node.below[REST].names for node in nodes if REST in node.below))
            nodes = [node.below[key] for node in nodes for key in (level, ONE) if key in node.below]
        return found.union(*(node.names for node in nodes))
