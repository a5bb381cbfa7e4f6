"""A host function in which a guest waits: it alone is suspended, and the wait is not its own time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from caxton.sandbox import engine as engine_module
from caxton.sandbox import guest as guest_module
from caxton.sandbox import waiting
from caxton.sandbox.codes import TIMED_OUT
from caxton.sandbox.trap import Trap
from caxton.testing.guests import SLOW_ROUNDS, RecordingHost, assemble, guest_text, handle, to_end
from caxton.tools.wanted import Pending

if TYPE_CHECKING:
    import pytest

    from caxton.sandbox.guest import Guest
    from tests.unit.sandbox.conftest import Guests

IMPORTS = """(import "caxton" "call_tool" (func $call_tool (param i32 i32) (result i32)))
  (import "caxton" "read_result" (func $read_result (param i32 i32) (result i32)))
  (import "caxton" "send_message" (func $send (param i32 i32) (result i32)))"""
CALL = "(call $call_tool (i32.const 16) (i32.const 5))"
SENDS_RESULT = f"""(local $n i32) (local.set $n {CALL})
  (drop (call $read_result (i32.const 100) (local.get $n)))
  (drop (call $send (i32.const 100) (local.get $n))) i32.const 0"""
DATA = '(data (i32.const 16) "hello")'


class LateHost(RecordingHost):
    """Answers when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bytes] = []
        self.pending: list[Pending] = []
        self.cancelled = 0

    def call_tool(self, request: bytes) -> Any:
        self.asked.append(request)
        self.pending.append(Pending())
        self.pending[-1].on_cancel = self._cancel
        return self.pending[-1]

    def _cancel(self) -> None:
        self.cancelled += 1


def booted(guests: Guests, handle: str, *, host: RecordingHost | None = None, **limits: Any) -> tuple[Guest, Any]:
    wasm = assemble(guest_text(imports=IMPORTS, handle=handle, more=DATA))
    made, host = guests.new(wasm, host=LateHost() if host is None else host, **limits)
    assert to_end(made.boot()) == 0
    return made, host


def test_guest_that_waits_goes_on_with_the_result_once_it_is_there(guests: Guests) -> None:
    made, host = booted(guests, SENDS_RESULT)
    assert made.deliver(b"{}") is None
    assert made.waits is not None
    assert made.waits.pending is host.pending[0]
    assert [made.resume() for _ in range(3)] == [None] * 3  # polling it too early does no harm
    assert (host.asked, host.sent) == ([b"hello"], [])
    host.pending[0].settle(b"found")
    assert made.resume() == 0
    assert (made.waits, host.sent) == (None, [b"found"])


def test_code_in_the_place_of_a_result_is_what_the_guest_gets(guests: Guests) -> None:
    made, host = booted(guests, f"(i32.sub (i32.const 0) {CALL})")
    assert made.deliver(b"{}") is None
    host.pending[0].settle(TIMED_OUT)
    assert made.resume() == -TIMED_OUT


def test_several_calls_in_one_handling_wait_one_after_the_other(guests: Guests) -> None:
    made, host = booted(guests, f"(i32.sub (i32.add {CALL} {CALL}) (i32.const 10))")
    assert made.deliver(b"{}") is None
    host.pending[0].settle(b"12345")
    assert (made.resume(), len(host.pending)) == (None, 2)
    host.pending[1].settle(b"67890")
    assert made.resume() == 0


def test_others_work_while_one_waits_and_a_thousand_may(guests: Guests) -> None:
    waiters = [booted(guests, SENDS_RESULT) for _ in range(1000)]
    assert [made.deliver(b"{}") for made, _ in waiters] == [None] * 1000
    other, host = booted(guests, SENDS_RESULT, host=RecordingHost())
    assert handle(other) == 0
    assert host.sent == [b"hello"]
    for n, (_, waiting_host) in enumerate(waiters):
        waiting_host.pending[0].settle(b"%d" % n)
    assert [made.resume() for made, _ in reversed(waiters)] == [0] * 1000
    assert [waiting_host.sent for _, waiting_host in waiters] == [[b"%d" % n] for n in range(1000)]


def test_answer_of_a_guest_that_is_closed_is_given_up(guests: Guests) -> None:
    made, host = booted(guests, SENDS_RESULT)
    made.deliver(b"{}")
    made.close()
    assert host.cancelled == 1
    host.pending[0].settle(b"too late")
    assert host.sent == []


def test_time_that_it_waits_is_not_its_own(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    passed_ns = 0

    def now_ns() -> int:
        return time.perf_counter_ns() + passed_ns

    for module in (engine_module, guest_module, waiting):
        monkeypatch.setattr(module, "perf_counter_ns", now_ns)
    slow = f"""{SLOW_ROUNDS} (drop {CALL})
      (local.set $left (i32.const 120000000))
      (loop $more (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1))))) i32.const 0"""
    made, host = booted(guests, slow, wall_time_s=60.0, cpu_time_s=60.0)
    result = made.deliver(b"{}")
    while not host.pending:
        assert result is None
        result = made.resume()
    passed_ns = 3600 * 10**9
    host.pending[0].settle(b"found")
    while (result := made.resume()) is None:
        pass
    assert result == 0


def test_error_of_ours_ends_the_guest_and_not_the_server(guests: Guests, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(RecordingHost):
        def call_tool(self, request: bytes) -> Any:
            raise ZeroDivisionError

    made, _ = booted(guests, SENDS_RESULT, host=Broken())
    ended = handle(made)
    assert isinstance(ended, Trap)
    assert ended.kind == "host_error"
    assert "host function failed" in caplog.text


def test_calls_of_tools_count_as_calls_of_the_host(guests: Guests) -> None:
    for_ever = f"(loop $again (drop {CALL}) (br $again)) i32.const 0"
    made, _ = booted(guests, for_ever, host=RecordingHost(), host_calls=10)
    ended = handle(made)
    assert isinstance(ended, Trap)
    assert ended.kind == "host_calls"


def test_guest_may_wait_while_it_starts(guests: Guests) -> None:
    starts = f'{DATA} (func (export "agent_init") (result i32) (i32.sub {CALL} (i32.const 2)))'
    host = LateHost()
    made, _ = guests.new(assemble(guest_text(imports=IMPORTS, more=starts)), host=host)
    steps = made.boot()
    next(steps)
    host.pending[0].settle(b"ok")
    assert to_end(steps) == 0
