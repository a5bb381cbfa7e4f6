"""Tasks on the bus: bidders that are late, refuse, crash or say too much, and a server that may crash at any step."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, cast

import pytest

from caxton.core.ids import DEFAULT_WORKSPACE
from tests.unit.bus.conftest import anyio_backend, clock
from tests.unit.natives.tasks import oracle
from tests.unit.natives.tasks.market import CALL_S, STEP_S, WORK_S, Market, Saying, Script, bid

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from caxton.testing.clock import ManualClock

    Opener = Callable[..., Market]

__all__ = ["anyio_backend", "clock"]


@pytest.fixture
async def market(tmp_path: Path, clock: ManualClock) -> AsyncGenerator[Opener]:
    opened: list[Market] = []

    def open_market(scripts: dict[str, Script], *, watched: bool = True) -> Market:
        if opened:
            opened.pop().close()
        opened.append(Market(tmp_path / f"{len(list(tmp_path.iterdir()))}.db", clock, scripts, watched=watched))
        return opened[0]

    yield open_market
    for one in opened:
        one.close()


CROWD = {
    "cheap": bid(3, after=1),
    "dear": bid(9),
    "refuser": Script([(0, "refuse", {"reason": "busy"})]),
    "greedy": bid(99),
    "late": bid(1, after=4),
    "silent": Script(),
    "twice": Script([(0, "propose", {"cost": 5}), (1, "propose", {"cost": 1})]),
    "clumsy": bid(7, crashes_on={"cfp": 1, "reject-proposal": 1}),
}
"""One of each kind; `cheap` wins."""

EXPECTED = {
    "cheap": ["accept-proposal"],
    "dear": ["reject-proposal outbid"],
    "refuser": [],
    "greedy": ["reject-proposal over-budget"],
    "late": ["reject-proposal late"],
    "silent": [],
    "twice": ["reject-proposal outbid"],
    "clumsy": ["reject-proposal outbid"],
}


PARTS = 3
"""Of the steps, for tests that are not too long."""


async def check_crowd(found: Market) -> None:
    task = await found.task()
    assert (task.status, task.awarded_to) == ("done", ["cheap"])
    (result,) = task.results
    assert (result.agent, bytes(result.content)) == ("cheap", b'{"answer":42}')
    assert result.time_s == pytest.approx(1, abs=STEP_S + 0.2)  # a repeated message waits a step, a commit a moment
    # The second proposal of `twice` is out of place: the referee withholds it.
    assert {name: found.answers(name) for name in CROWD} == EXPECTED
    assert found.leftovers() == []
    assert found.tasks.timers == {}


@pytest.mark.parametrize("watched", [True, False], ids=["referee", "no-referee"])
async def test_everybody_gets_one_answer_and_the_cheapest_wins(market: Opener, watched: bool) -> None:
    found = market(CROWD, watched=watched)
    task = await found.create(max_cost=50)
    assert (task.status, task.participants, task.created_by) == ("calling", 8, "ada")
    await found.run()
    await check_crowd(found)
    bidders = {one.agent: one for one in (await found.task()).bidders}
    assert (bidders["refuser"].status, bidders["refuser"].reason) == ("refused", "busy")
    assert bidders["greedy"].explanation == "cost is 99, the budget is 50"
    assert (bidders["silent"].status, bidders["cheap"].cost, bidders["twice"].cost) == ("silent", 3.0, 5.0)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(
    ("watched", "committed"), [(True, True), (True, False), (False, False)], ids=["committed", "lost", "no-referee"]
)
async def test_a_crash_between_any_two_steps_changes_neither_the_award_nor_the_answers(
    market: Opener, watched: bool, committed: bool, part: int
) -> None:
    found = market(CROWD, watched=watched)
    await found.create(max_cost=50)
    steps = await found.run()
    assert steps > 30
    for crash_at in range(part, steps, PARTS):
        again = market(CROWD, watched=watched)
        await again.create(max_cost=50)
        await again.run(crash_at=crash_at, committed=committed)
        await check_crowd(again)


def any_script(chance: random.Random) -> Script:
    after = chance.choice((0, 0, 1, 2, 4, 5))
    proposal: Saying = (after, "propose", {"cost": chance.randint(1, 60)})
    others: list[Saying] = [
        (after, "refuse", {"reason": "busy"}), (after, "propose", {"price": 3}), (after, "not-understood", None)
    ]  # fmt: skip
    said = [chance.choice([proposal] * 5 + others)] if chance.random() < 0.9 else []
    if said and chance.random() < 0.2:
        said.append((after + 1, "propose", {"cost": 0}))
    results: list[list[Saying]] = [
        [(1, "inform", 1)], [(0, "inform", 1)], [(1, "failure", {"reason": "ink"})], [],
        [(WORK_S + 1, "inform", 1)], [(0, "inform", 1), (1, "inform", 2)],
    ]  # fmt: skip
    crashes = {act: chance.randint(1, 2) for act in ("cfp", "accept-proposal") if chance.random() < 0.15}
    return Script(said, chance.choice(results), crashes_on=crashes)


def wins(script: Script) -> float | None:
    """The cost that it bids in time and within the budget of 50."""
    if not script.on_call:
        return None
    after, act, content = script.on_call[0]
    cost = cast("dict[str, object]", content or {}).get("cost")
    if after >= CALL_S or act != "propose" or not isinstance(cost, int) or cost > 50:
        return None
    return float(cost)


def outcome(script: Script) -> str:
    """What comes of a task that it alone has."""
    if not script.on_award or script.on_award[0][0] >= WORK_S:
        return "expired"
    return "done" if script.on_award[0][1] == "inform" else "failed"


@pytest.mark.parametrize("seed", range(25))
async def test_any_market_with_a_crash_somewhere_awards_the_best_by_the_oracle(market: Opener, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - which run, not a secret
    scripts = {f"b{n}": any_script(chance) for n in range(chance.randint(1, 8))}
    found = market(scripts, watched=bool(seed % 3))
    await found.create(max_cost=50)
    await found.run(crash_at=chance.randint(0, 40), committed=chance.random() < 0.5)
    task = await found.task()
    bids = {name: {"cost": cost} for name, script in scripts.items() if (cost := wins(script)) is not None}
    if bids:
        scores = oracle.scores({"cost": 1.0}, bids, {})
        best = min(bids, key=lambda name: (scores[name], bids[name]["cost"], name))
        assert (task.awarded_to, task.status) == ([best], outcome(scripts[best]))
    else:
        assert (task.awarded_to, task.status) == ([], "no-bids")
    for name, script in scripts.items():
        answers = [one for one in found.answers(name) if one != "cancel expired"]
        proposed = bool(script.on_call) and script.on_call[0][1] == "propose"
        if proposed and script.on_call[0][0] >= CALL_S and not answers:
            # The others were done, and after a crash the referee has forgotten a conversation that is over.
            assert [one[0] for one in found.heard(name)] == ["cfp", "not-understood"]
            continue
        assert len(answers) == proposed, (name, answers)
    assert (found.leftovers(), found.tasks.timers) == ([], {})


@pytest.mark.parametrize("watched", [True, False], ids=["referee", "no-referee"])
async def test_a_bidder_that_crashes_for_good_on_the_call_is_not_waited_for(market: Opener, watched: bool) -> None:
    found = market({"broken": bid(1, crashes_on={"cfp": 99}), "other": bid(5)}, watched=watched)
    await found.create()
    await found.run()
    task = await found.task()
    assert task.awarded_to == ["other"]
    assert [one.status for one in task.bidders] == ["absent" if watched else "silent", "done"]
    assert found.refused() == []


@pytest.mark.parametrize("watched", [True, False], ids=["referee", "no-referee"])
async def test_a_winner_that_crashes_for_good_on_the_award_fails_the_task(market: Opener, watched: bool) -> None:
    found = market({"broken": bid(1, crashes_on={"accept-proposal": 99}), "other": bid(5)}, watched=watched)
    await found.create()
    await found.run()
    task = await found.task()
    assert (task.status, task.awarded_to) == ("failed" if watched else "expired", ["broken"])
    assert found.answers("broken") == ([] if watched else ["cancel expired"])
    assert found.answers("other") == ["reject-proposal outbid"]
    assert found.refused() == []


async def test_the_call_carries_the_task_and_its_limits_and_the_award_the_bid(market: Opener) -> None:
    found = market({"a": bid(3)})
    await found.create(max_cost=50, max_tokens=900)
    found.scripts["a"].on_call[0] = (0, "propose", {"cost": 3, "tokens": 10})
    await found.run()
    call, award = found.heard("a")[:2]
    assert call == ["cfp", "tasks", {"task": {"do": "it"}, "max_cost": 50.0, "max_tokens": 900.0}, None]
    act, _, content, reference = award
    assert (act, reference) == ("accept-proposal", "propose-0")
    assert content.pop("result_by").endswith("+00:00")
    assert content == {"task": {"do": "it"}, "bid": {"cost": 3.0, "tokens": 10.0}}


async def test_a_promise_that_was_not_kept_costs_the_next_award(market: Opener) -> None:
    found = market({"liar": bid(4, result=[(0, "failure", None)]), "honest": bid(6)})
    await found.create(id="first")
    while await found.step():
        pass
    found.began_us = found.clock.wall_us()
    await found.create(id="t")
    await found.run()
    assert (await found.task()).awarded_to == ["honest"]


# --- cancel ------------------------------------------------------------------------------------------------------


async def cancelled(found: Market, after_steps: int) -> Any:
    for _ in range(after_steps):
        await found.step()
    (task,) = await found.rig.answer(found.service.cancel(DEFAULT_WORKSPACE, "t", reason="not needed"))
    await found.run()
    return task


@pytest.mark.parametrize("watched", [True, False], ids=["referee", "no-referee"])
@pytest.mark.parametrize("after_steps", range(0, 24, 2))
async def test_a_task_that_is_cancelled_tells_everybody_once(market: Opener, watched: bool, after_steps: int) -> None:
    found = market(
        {"a": bid(3), "b": bid(5, after=1, result=[]), "c": bid(1, after=2, result=[]), "silent": Script()},
        watched=watched,
    )
    await found.create()
    task = await cancelled(found, after_steps)
    assert (task.status, task.reason) == ("cancelled", "not needed")
    assert (await found.task()).status == "cancelled"
    for name in found.scripts:
        answers = found.answers(name)
        assert len([one for one in answers if one != "cancel cancelled"]) <= 1, answers
        assert 1 <= len(answers) <= 2 or (name == "silent" and not answers), (name, answers)
    assert (found.leftovers(), found.tasks.timers) == ([], {})
    assert found.refused() == []
