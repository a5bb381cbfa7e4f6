"""The names are those of the conventions."""

from __future__ import annotations

import pkgutil
import warnings
from enum import Enum
from importlib import import_module

from opentelemetry.semconv.schemas import Schemas

from caxton.telemetry import names

NO_ATTRIBUTES = {
    "SCHEMA_URL", "SCOPE", "SYSTEM", "SEND", "PROCESS", "SETTLE", "TIMER", "EXECUTE_TOOL", "HANDLER_FAILED",
    "HANDLER_CRASHED", "NODE_ENDED",
}  # fmt: skip

PACKAGES = ("opentelemetry.semconv.attributes", "opentelemetry.semconv._incubating.attributes")


def conventions() -> tuple[set[str], set[str]]:
    """All names of attributes that the package knows, and all values that some of them may have."""
    found, values = set[str](), set[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for package in PACKAGES:
            for module in pkgutil.iter_modules(import_module(package).__path__):
                for thing in vars(import_module(f"{package}.{module.name}")).values():
                    if isinstance(thing, str):
                        found.add(thing)
                    elif isinstance(thing, type) and issubclass(thing, Enum):
                        values |= {str(one.value) for one in thing}
    return found, values


def test_names_are_known_to_the_conventions_or_begin_with_caxton() -> None:
    ours = {value for key, value in vars(names).items() if key.isupper() and key not in NO_ATTRIBUTES}
    assert len(ours) > 20
    assert {name for name in ours - conventions()[0] if not name.startswith("caxton.")} == set()


def test_words_of_operations_are_those_of_the_conventions() -> None:
    assert {names.SEND, names.PROCESS, names.SETTLE, names.EXECUTE_TOOL} <= conventions()[1]


def test_schema_is_one_that_there_is() -> None:
    assert names.SCHEMA_URL in {schema.value for schema in Schemas}
