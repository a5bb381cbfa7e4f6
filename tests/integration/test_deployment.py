"""Deploying, replacing, scaling, stopping, starting and removing real guests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from caxton.testing.guests import example, guest

if TYPE_CHECKING:
    from caxton.testing.rooms import LocalNode


async def test_tmp(node: LocalNode) -> None:
    await node.deploy("echo", example("echo"))
    assert (await node.ask("echo", {"a": 1}))["content"] == {"a": 1}
