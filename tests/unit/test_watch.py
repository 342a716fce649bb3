# SPDX-License-Identifier: GPL-2.0-or-later
"""One path that is checked: when it asks, and what answers and silence make of it."""

from __future__ import annotations

import pytest

from mptcp_hooks.checker import watch
from mptcp_hooks.checker.duties import Duty
from mptcp_hooks.checker.probes import Echo
from mptcp_hooks.checker.watch import Watch
from mptcp_hooks.intent.checks import ECHO, Target

TARGETS = (Target(ECHO, "192.0.2.1"), Target(ECHO, "198.51.100.1"))
DUTY = Duty("eth1", "eth1", 3, "192.0.2.2", TARGETS, "gateway 198.51.100.1", 5, 2)
DATE = 1_700_000_000


class Probe:
    """A question; `answer` is what it reads next."""

    def __init__(self) -> None:
        self.answer: bool | None = None
        self.closed = False

    def read(self) -> bool | None:
        return self.answer

    def close(self) -> None:
        self.closed = True


class World:
    """What a watch asks: `sent` are its questions, `silent` targets are those it cannot ask."""

    def __init__(self) -> None:
        self.sent: list[Probe] = []
        self.mute: set[str] = set()
        self.carrier = True

    def begin_probe(self, duty: Duty, target: Target) -> Probe | None:
        if target.address in self.mute:
            return None
        self.sent.append(Probe())
        return self.sent[-1]

    def carries(self, device: str) -> bool:
        assert device == "eth1"
        return self.carrier

    def make(self, duty: Duty = DUTY) -> Watch:
        return Watch(duty, self.carries, 100.0, DATE)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(watch, "begin_probe", made.begin_probe)
    return made


def hear(one: Watch, number: int, answer: bool | None, now: float) -> bool:
    """Have a question that is listened to read an answer."""
    probe = one.list_probes()[number]
    assert not isinstance(probe, Echo)
    setattr(probe, "answer", answer)
    return one.hear(probe, now, DATE + int(now))


def pass_by(one: Watch, seconds: int, start: float = 100.0) -> list[float]:
    """The times at which the verdict changes while nobody answers."""
    return [start + tenth / 10 for tenth in range(seconds * 10)
            if one.attend(start + tenth / 10, DATE + tenth // 10)]


def test_it_asks_all_at_once_and_one_answer_is_enough(world: World) -> None:
    one = world.make()
    assert one.wait(100.0) == 0
    one.attend(100.0, DATE)
    assert len(world.sent) == 2 and one.wait(100.0) == 3.0
    assert not hear(one, 1, True, 100.2)
    assert [probe.closed for probe in world.sent] == [True, True]
    assert one.list_probes() == [] and one.wait(100.2) == pytest.approx(4.8)


def test_it_asks_again_each_interval(world: World) -> None:
    one = world.make()
    for now in (100.0, 105.0, 110.0):
        one.attend(now, DATE)
        hear(one, 0, True, now + 0.1)
    assert len(world.sent) == 6 and one.wait(110.1) == pytest.approx(4.9)


def test_silence_is_a_failure_a_second_after_the_last_question(world: World) -> None:
    one = world.make()
    assert pass_by(one, 9) == [106.0]
    assert one.failed and one.since == DATE + 6 and len(world.sent) == 4


def test_a_question_before_the_last_is_given_three_seconds(world: World) -> None:
    """Who answers slowly never comes to a last one."""
    one = world.make()
    for now in (100.0, 105.0, 110.0, 115.0):
        one.attend(now, DATE)
        assert not one.attend(now + 2.9, DATE)
        hear(one, 0, True, now + 2.9)
    assert not one.failed


def test_a_short_interval_has_no_more_patience(world: World) -> None:
    one = world.make(DUTY._replace(interval=1, failures=3))
    assert pass_by(one, 4) == [103.0]


def test_refusals_are_a_failure_at_once(world: World) -> None:
    one = world.make(DUTY._replace(failures=1))
    one.attend(100.0, DATE)
    assert not hear(one, 0, False, 100.1) and not one.failed
    assert hear(one, 0, False, 100.2) and one.failed
    assert one.wait(100.2) == pytest.approx(4.8)


def test_what_is_not_an_answer_yet_changes_nothing(world: World) -> None:
    one = world.make(DUTY._replace(failures=1))
    one.attend(100.0, DATE)
    assert not hear(one, 0, None, 100.1) and len(one.list_probes()) == 2


def test_one_that_is_heard_after_its_interval_is_nobodys(world: World) -> None:
    one = world.make()
    one.attend(100.0, DATE)
    first, second = one.list_probes()
    setattr(world.sent[0], "answer", True)
    one.hear(first, 100.1, DATE)
    assert not one.hear(second, 100.1, DATE)


def test_what_cannot_be_sent_is_a_failure(world: World) -> None:
    world.mute = {target.address for target in TARGETS}
    assert pass_by(world.make(), 6) == [105.0]


def test_one_of_two_that_can_be_asked_is_enough(world: World) -> None:
    world.mute = {"192.0.2.1"}
    one = world.make(DUTY._replace(failures=1))
    one.attend(100.0, DATE)
    assert len(world.sent) == 1 and not hear(one, 0, True, 100.1) and not one.failed


def test_without_a_carrier_nobody_is_asked_and_the_verdict_stays(world: World) -> None:
    one = world.make(DUTY._replace(failures=1))
    pass_by(one, 4)
    assert one.failed
    world.carrier = False
    before = len(world.sent)
    assert pass_by(one, 60, 104.0) == [] and one.failed and len(world.sent) == before


def test_a_carrier_that_goes_while_it_waits_is_no_failure(world: World) -> None:
    one = world.make(DUTY._replace(failures=1))
    one.attend(100.0, DATE)
    world.carrier = False
    assert pass_by(one, 60) == [] and not one.failed


def test_it_comes_back_with_two_answers(world: World) -> None:
    one = world.make(DUTY._replace(failures=1))
    pass_by(one, 4)
    one.attend(105.0, DATE)
    assert not hear(one, 0, True, 105.1)
    one.attend(110.0, DATE)
    assert hear(one, 0, True, 110.1) and not one.failed and one.since == DATE + 110


def test_times_that_were_missed_are_not_made_up_for(world: World) -> None:
    one = world.make()
    one.attend(100.0, DATE)
    hear(one, 0, True, 100.1)
    one.attend(1000.0, DATE)
    assert one.wait(1000.0) == 3.0 and len(world.sent) == 4
    hear(one, 0, True, 1000.1)
    assert one.wait(1000.1) == pytest.approx(4.9)


def test_closed_it_listens_to_nobody(world: World) -> None:
    one = world.make()
    one.attend(100.0, DATE)
    one.close()
    assert all(probe.closed for probe in world.sent) and one.list_probes() == []
