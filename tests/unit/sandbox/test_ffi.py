from __future__ import annotations

import pytest
from wasmtime import _bindings

from caxton.core.errors.modules import SandboxUnavailable
from caxton.sandbox import ffi


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("_LAYOUTS", {"val_t": _bindings.wasmtime_memory}),
        ("_LAYOUTS", {"byte_vec_t": _bindings.wasmtime_extern}),
        ("RAW_VALUE_BYTES", 24),
        ("VAL_BYTES", 40),
        ("VAL_PAYLOAD_OFFSET", 4),
        ("WASMTIME_VERSION", "50.0.2"),
    ],
)
def test_another_layout_than_ours_is_refused(monkeypatch: pytest.MonkeyPatch, what: str, value: object) -> None:
    monkeypatch.setattr(ffi, what, value)
    with pytest.raises(SandboxUnavailable):
        ffi.check_layouts()


def test_installed_layout_is_accepted() -> None:
    ffi.check_layouts()
