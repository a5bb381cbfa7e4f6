"""docs/reference/tools.md says what the code does."""

from __future__ import annotations

from caxton.sandbox.wasi_command import Allowed
from caxton.tools.wasm.wasi_source import WasiSettings
from tests.docs.tables import read_page, rows, section

PAGE = read_page("reference/tools.md")


def test_grants_of_sandboxed_tools_are_those_of_the_code() -> None:
    said = {grant: value for grant, value, _ in rows(section(PAGE, "## Sandboxed tools"), "Grant", "Unless said")}
    allowed, settings = Allowed(), WasiSettings()
    assert said == {
        "arguments": "none" if not allowed.arguments else "",
        "environment": "none" if not allowed.environment else "",
        "directories": "none" if not allowed.directories else "",
        "memory": f"{allowed.memory_bytes >> 20} MiB",
        "CPU time": f"{allowed.cpu_time_s:g} s",
        "host functions": f"{allowed.host_calls:,}",
        "result": f"{settings.max_result_bytes >> 20} MiB",
        "calls at once": str(settings.concurrency),
        "idle": f"{settings.idle_timeout_s / 60:g} min",
    }
