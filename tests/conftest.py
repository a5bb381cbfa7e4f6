"""What every test may use."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from caxton.testing.rooms import LocalNode


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Caxton runs on asyncio alone."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    """A command that starts a server in this process sets up its log; the next test's must not go there."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> Generator[None]:  # pyright: ignore[reportUnusedFunction]
    """Tests that a shell runs in the background ignore Ctrl-C, and so would the processes that they interrupt."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def compiled_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled modules for all nodes of a run; those in tests/guests and examples are there already."""
    from caxton.testing.rooms import fill_cache

    directory = tmp_path_factory.mktemp("compiled")
    fill_cache(directory)
    return directory


@pytest.fixture
async def node(tmp_path: Path, compiled_dir: Path) -> AsyncGenerator[LocalNode]:
    """A started node without doors, on a directory of its own."""
    from caxton.testing.rooms import open_node

    async with open_node(tmp_path / "node", compiled=compiled_dir) as node:
        yield node
