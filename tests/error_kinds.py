"""All errors that Caxton has, for tests that hold something against each of them."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from caxton.core import errors
from caxton.core.errors.error import CaxtonError


def error_kinds() -> list[type[CaxtonError]]:
    """Every class in `caxton.core.errors`, the base first; none that a test made."""
    modules = [import_module(f"{errors.__name__}.{found.name}") for found in pkgutil.iter_modules(errors.__path__)]
    homes = {module.__name__ for module in modules}
    return [kind for kind in _tree(CaxtonError) if kind.__module__ in homes]


def _tree(kind: type[CaxtonError]) -> list[type[CaxtonError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _tree(child))]
