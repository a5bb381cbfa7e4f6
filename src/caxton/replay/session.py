"""A replay from its first step to its last: instances are made as they are needed, and freed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from caxton.replay.player import Instance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from caxton.replay.file import Recording
    from caxton.replay.plan import Step
    from caxton.replay.player import Played
    from caxton.sandbox.engine import Engine
    from caxton.sandbox.module import Module


class Session:
    """Runs steps in their order. Use it as a context manager."""

    def __init__(
        self,
        engine: Engine,
        recordings: Sequence[Recording],
        modules: Mapping[str, Module],
        *,
        against: Module | None = None,
        fork_at: int | None = None,
        body: bytes | None = None,
    ) -> None:
        """Args:
        engine: with nobody else's guests.
        recordings: the lives that the steps belong to.
        modules: by SHA-256, those that were recorded.
        against: runs in their place.
        fork_at: number of the first step that runs freely.
        body: the message to hand over in that step, instead of the recorded one.
        """
        self._engine, self._recordings, self._modules = engine, recordings, modules
        self._against, self._fork_at, self._body = against, fork_at, body
        self._instances: dict[int, Instance] = {}

    def __enter__(self) -> Self:
        self._engine.hold_ticks()
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.release_ticks()
        for instance in self._instances.values():
            instance.close()

    def run(self, step: Step) -> Played | None:
        """Run one step; None if its instance, since the fork, does not live any more."""
        instance = self._instances.get(step.instance)
        if instance is None:
            instance = self._instances[step.instance] = self._make(step.instance)
        if instance.is_over:
            return None
        if self._fork_at is None or step.number < self._fork_at:
            return instance.compare(step.handling)
        return instance.go_on(step.handling, self._body if step.number == self._fork_at else None)

    def _make(self, number: int) -> Instance:
        recording = self._recordings[number]
        module = self._modules[recording.life.module_sha256] if self._against is None else self._against
        return Instance(recording, module, is_same_module=module.sha256 == recording.life.module_sha256)
