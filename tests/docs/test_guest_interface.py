"""docs/reference/guest-interface.md is the interface that the sandbox offers; its examples are guests that work."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import wasmtime

from caxton.agents import lifecycle, supervisor
from caxton.bus import turn
from caxton.bus.envelope import MAX_ATTEMPTS
from caxton.bus.retry import retry_delay_s
from caxton.core.errors.agents import DeploymentFailed, TooManyInstances
from caxton.core.errors.modules import CompileLimitExceeded, InvalidWasm
from caxton.messages.codec import MAX_CONTENT_BYTES, decode_message
from caxton.sandbox import (
    capabilities,
    codes,
    compile,
    compile_child,
    engine,
    guest,
    imports,
    limits,
    module,
    trap,
    wasi,
)
from caxton.sandbox.engine import Engine, make_wasmtime_engine
from caxton.sandbox.guest import Guest
from caxton.sandbox.limits import Limits
from caxton.testing.guests import RecordingHost, assemble, handle, load, to_end
from tests.docs.tables import assert_same, block, read_page, rows, section, word, words

if TYPE_CHECKING:
    from collections.abc import Generator

    from caxton.core.errors.error import CaxtonError

PAGE = read_page("reference/guest-interface.md")
TEXT = " ".join(PAGE.split())
EXPORTS = rows(section(PAGE, "## Exports"), "Function", "Type", "Needed")
IMPORTS = rows(section(PAGE, "## Imports"), "Function", "Type", "What it does")
WASI = rows(section(PAGE, "## WASI"), "Function", "Answer")


# --- exports and imports -----------------------------------------------------------------------------------------


def letters(cell: str) -> str:
    """`(i32, i64) -> i32` as the sandbox writes it: `il>i`."""
    names = {"i32": "i", "i64": "l", "f32": "f", "f64": "d"}
    params, result = re.fullmatch(r"\((.*)\) -> (.*)", word(cell)).groups()  # type: ignore[union-attr]
    return "".join(names[part] for part in params.split(", ") if part) + ">" + names.get(result, "")


def test_every_export_has_a_line_with_its_type() -> None:
    required, optional = vars(module)["_REQUIRED"], vars(module)["_OPTIONAL"]
    assert_same("exports", code=required | optional, page=[word(row[0]) for row in EXPORTS])
    assert {word(row[0]): letters(row[1]) for row in EXPORTS} == required | optional
    assert {word(row[0]) for row in EXPORTS if row[2] == "yes"} == set(required)
    assert {row[2] for row in EXPORTS} == {"yes", "no"}


def test_every_import_has_a_line_with_its_type() -> None:
    assert_same("imports", code=imports.CAXTON_IMPORTS, page=[word(row[0]) for row in IMPORTS])
    offered = {name: f"{function.params}>{function.result}" for name, function in imports.CAXTON_IMPORTS.items()}
    assert {word(row[0]): letters(row[1]) for row in IMPORTS} == offered


def test_nothing_else_can_be_imported() -> None:
    assert set(engine.IMPORTS) == {"caxton", "wasi_snapshot_preview1"}


def test_every_error_code_has_a_line() -> None:
    table = {row[1]: int(word(row[0])) for row in rows(section(PAGE, "## Error codes"), "Code", "Name")}
    assert table == {name: value for name, value in vars(codes).items() if name.isupper()}


def test_results_of_imports_are_known_error_codes() -> None:
    known = {value for name, value in vars(codes).items() if name.isupper()}
    numbers = {text for row in IMPORTS for text in words(row[3]) if re.fullmatch(r"-?\d+", text)}
    assert {int(number) for number in numbers} <= known


@pytest.mark.parametrize(
    ("function", "figures"),
    [
        ("send_message", [f"{MAX_CONTENT_BYTES >> 20} MiB"]),
        ("log", [f"{imports.MAX_LOG_LINE_BYTES >> 10} KiB"]),
        ("random", [f"{imports.MAX_RANDOM_BYTES >> 10} KiB"]),
        ("set_timer", [f"{turn.MAX_TIMER_DELAY_US // 86_400_000_000} days", f"{turn.MAX_TIMERS:,} timers"]),
        (
            "kv_set",
            [f"{turn.MAX_KEY_BYTES >> 10} KiB", f"{turn.MAX_VALUE_BYTES >> 20} MiB", f"{turn.MAX_KV_BYTES >> 20} MiB"],
        ),
        ("subscribe", [f"{turn.MAX_TOPIC_BYTES} bytes"]),
    ],
)
def test_figures_of_imports_are_right(function: str, figures: list[str]) -> None:
    row = " ".join(next(row for row in IMPORTS if word(row[0]) == function))
    assert [figure for figure in figures if figure not in row] == []


def test_figures_in_the_text_are_right() -> None:
    pauses = [f"{retry_delay_s(attempt, 0):g}" for attempt in range(2, MAX_ATTEMPTS + 1)]
    figures = [
        f"slice of {engine.TICK_S * 1000:g} ms",
        f"attempt 2 to {MAX_ATTEMPTS} after {', '.join(pauses[:-1])} and {pauses[-1]} s",
        f"More than {lifecycle.MAX_RESTARTS} crashes of one agent within {lifecycle.WINDOW_S:g} s",
        f"a new one is made after {lifecycle.FIRST_DELAY_S:g} s",
        f"`agent_shutdown` calls of one agent together have {supervisor.SHUTDOWN_S:g} s",
        f"the JSON may have {capabilities.MAX_CAPABILITIES_BYTES >> 10} KiB",
        f"guest frames have {limits.MAX_WASM_STACK_BYTES >> 10} KiB",
        f"of which the first {imports.MAX_LOG_LINE_BYTES >> 10} KiB; at most {vars(wasi)['_MAX_IOVECS']} pieces",
        f"`28` over {imports.MAX_RANDOM_BYTES >> 10} KiB",
        f"It is over {module.MAX_MODULE_BYTES >> 20} MiB",
        f"takes more than {compile_child.CPU_S} s of CPU, {compile_child.MEMORY_BYTES >> 30} GiB of memory",
        f"or {compile.WALL_S:g} s in all",
        f"up to {vars(guest)['_MAX_TABLES']}",
    ]
    assert [figure for figure in figures if figure not in TEXT] == []


# --- traps, refusals, WASI ---------------------------------------------------------------------------------------


def test_every_kind_of_trap_has_a_line() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in Path(trap.__file__).parent.glob("*.py"))
    ours = set(re.findall(r'\b(?:Trap|GuestStop|stop_guest)\(\s*"(\w+)"', text))
    listed = [word(row[0]) for row in rows(section(PAGE, "## When a call fails"), "Kind", "Meaning")]
    assert_same("kinds of traps", code={*vars(trap)["_CODES"], *ours}, page=listed)


def test_error_codes_of_refusals_exist() -> None:
    listed = [word(row[1]) for row in rows(section(PAGE, "## What is refused at deployment"), "What", "Error code")]
    errors: list[type[CaxtonError]] = [
        InvalidWasm, module.WasmTooLarge, CompileLimitExceeded, DeploymentFailed, TooManyInstances,
    ]  # fmt: skip
    assert set(listed) == {error.code for error in errors}


def test_every_wasi_function_has_a_line() -> None:
    assert_same("WASI functions", code=wasi.WASI_IMPORTS, page=[word(row[0]) for row in WASI])


@pytest.mark.parametrize("row", WASI, ids=lambda row: word(row[0]))
def test_wasi_answers_are_right(row: list[str], small_guest: Guest) -> None:
    function = wasi.WASI_IMPORTS[word(row[0])]
    said = {int(text) for text in words(row[1]) if text.isdigit()}
    if not function.result:
        assert not said
        return
    others = [0] * (len(function.params) - 1)
    found = {function.call(small_guest, *([first, *others] if function.params else [])) for first in (0, 1, 2, 3)}
    assert found <= said
    if word(row[0]) == "random_get":
        found.add(function.call(small_guest, 0, imports.MAX_RANDOM_BYTES + 1))
    assert found == said


def test_wasi_error_names_are_right() -> None:
    named = {int(number): name for number, name in re.findall(r"\b(\d+) ([a-z]+)[,.]", section(PAGE, "## WASI"))}
    known = {name: vars(wasi)[name.upper()] for name in named.values()}
    assert known == {name: number for number, name in named.items()}
    answers = {int(text) for row in WASI for text in words(row[1]) if text.isdigit()}
    assert answers <= {0, *named}


# --- features ----------------------------------------------------------------------------------------------------

FEATURES = {
    "Mutable globals, exported": '(global (export "g") (mut i32) (i32.const 0))',
    "Sign extension": "(func (param i32) (result i32) (i32.extend8_s (local.get 0)))",
    "Conversions to integers that do not trap": "(func (param f32) (result i32) (i32.trunc_sat_f32_s (local.get 0)))",
    "Several results and block parameters": "(func (result i32 i32) (i32.const 0) (i32.const 1))",
    "Bulk memory": "(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))",
    "Reference types": "(table 1 externref) (func (result externref) (ref.null extern))",
    "Several tables": "(table 1 funcref) (table 1 funcref) (func (drop (table.size 1)))",
    "Extended constant expressions": "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
    "SIMD": "(func (drop (v128.const i32x4 0 0 0 0)))",
    "Relaxed SIMD": "(func (param v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))",
    "Threads, shared memories and atomics": "(memory 1 1 shared)",
    "Tail calls": "(func $f (return_call $f))",
    "Typed function references": "(type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0)))",
    "Garbage collection": "(type (struct (field i32)))",
    "Exceptions": "(tag (param i32))",
    "Several memories": "(memory 1) (memory 1)",
    "64-bit memories": "(memory i64 1)",
    "Wide arithmetic": "(func (param i64 i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 1)))",
    "Custom page sizes": "(memory 1 (pagesize 1))",
    "Stack switching": "(type $f (func)) (type $c (cont $f))",
    "Components": None,
}
"""The fields of a module that needs the feature; a component is none."""

SWITCHES = {
    "wasm_simd": "SIMD",
    "wasm_relaxed_simd": "Relaxed SIMD",
    "wasm_threads": "Threads, shared memories and atomics",
    "shared_memory": "Threads, shared memories and atomics",
    "wasm_tail_call": "Tail calls",
    "wasm_function_references": "Typed function references",
    "wasm_gc": "Garbage collection",
    "wasm_exceptions": "Exceptions",
    "wasm_multi_memory": "Several memories",
    "wasm_memory64": "64-bit memories",
    "wasm_wide_arithmetic": "Wide arithmetic",
    "wasm_custom_page_sizes": "Custom page sizes",
    "wasm_stack_switching": "Stack switching",
    "wasm_component_model": "Components",
}
"""The engine's switch for each feature that is off."""


def test_every_feature_has_a_line() -> None:
    listed = [row[0] for row in rows(section(PAGE, "## WebAssembly features"), "Feature", "Offered")]
    assert_same("features", code=FEATURES, page=listed)


def test_what_is_off_is_what_the_engine_switches_off() -> None:
    switches = {name: on for name, on in vars(engine)["_SWITCHES"].items() if name in SWITCHES or "wasm_" in name}
    assert_same("switches", code=switches, page=SWITCHES)
    assert not any(switches.values())
    table = {row[0]: row[1] for row in rows(section(PAGE, "## WebAssembly features"), "Feature", "Offered")}
    assert {feature for feature, offered in table.items() if offered == "no"} == set(SWITCHES.values())


@pytest.mark.parametrize("feature", FEATURES)
def test_feature_is_on_or_off_as_the_page_says(feature: str) -> None:
    table = {row[0]: row[1] for row in rows(section(PAGE, "## WebAssembly features"), "Feature", "Offered")}
    fields = FEATURES[feature]
    binary = assemble("(component)" if fields is None else f"(module {fields})")
    try:
        wasmtime.Module(make_wasmtime_engine(), binary)
        compiles = True
    except wasmtime.WasmtimeError:
        compiles = False
    assert table[feature].startswith("yes" if compiles else "no")


# --- examples ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ticking_engine() -> Generator[Engine]:
    made = Engine()
    made.hold_ticks()
    yield made
    made.close()


@pytest.fixture
def small_guest(ticking_engine: Engine) -> Generator[Guest]:
    made, _ = booted(ticking_engine, assemble(block(PAGE, "wat")))
    yield made
    made.close()


def booted(ticking_engine: Engine, wasm: bytes) -> tuple[Guest, RecordingHost]:
    host = RecordingHost()
    made = Guest(load(ticking_engine, wasm), Limits(), host)
    assert to_end(made.boot()) == 0
    return made, host


def test_example_in_webassembly_text_works(ticking_engine: Engine) -> None:
    made, host = booted(ticking_engine, assemble(block(PAGE, "wat")))
    large = b" " * (MAX_CONTENT_BYTES + (64 << 10))
    assert [handle(made, body) for body in (b'{"performative":"inform"}', large)] == [0, 0]
    assert [line[1] for line in host.lines] == [b'{"performative":"inform"}', large[: imports.MAX_LOG_LINE_BYTES]]
    made.close()


def test_example_in_c_works(ticking_engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "agent.c").write_text(block(PAGE, "c"), encoding="utf-8")
    command = shlex.split(block(PAGE, "sh").replace("\\\n", " "))
    subprocess.run([sys.executable, *command[1:]], cwd=tmp_path, check=True, timeout=50)
    made, host = booted(ticking_engine, (tmp_path / "agent.wasm").read_bytes())
    assert handle(made, b'{"performative":"inform"}') == 0
    sent = decode_message(host.sent[0])
    assert (sent.receiver, bytes(sent.content)) == ("topic://seen", b'{"messages":1}')
    refusals: list[int] = []
    for code in (codes.WOULD_BLOCK, codes.RATE_LIMITED, codes.UNKNOWN_RECEIVER):
        made.host = refusing(code)
        refusals.append(int(handle(made)))  # type: ignore[arg-type]
    assert refusals == [1, 1, 0]
    made.close()


def refusing(code: int) -> Any:
    """A host that answers every `send_message` with `code`."""
    host = RecordingHost()
    host.send_message = lambda data: code  # type: ignore[method-assign]
    return host
