# SPDX-License-Identifier: GPL-2.0-or-later
"""Which uplinks are better off as backups, by what they carry each second."""

from __future__ import annotations

import pytest

from mptcp_hooks.monitor.judge import (
    Best,
    Judge,
    Uplink,
    Verdict,
    describe_rate,
    describe_rates,
)
from mptcp_hooks.monitor.meter import Second

MEGABIT = 1e6
NOTHING = Second((0.0,) * 10, 0.0, 0.0, 0.0, 0.0, 0.0)


def load(down: float, pauses: int = 0, at_best: float = 0.0) -> Second:
    """A download by a connection that has both uplinks; the best tenth, and tenths of pause."""
    moments = [max(down, at_best), *[down] * (9 - pauses), *[0.0] * pauses]
    return Second(tuple(one * MEGABIT for one in moments), 0.0, 0.0, down * MEGABIT, 0.0, 0.0)


def send(up: float, busy: float = 0.98, rtt: float = 0.0) -> Second:
    return Second((0.05 * MEGABIT,) * 10, up * MEGABIT, busy, 0.0, up * MEGABIT, rtt)


class Trial:
    """A judge of eth0 and eth1, and a clock; `said` is what it says."""

    def __init__(self, free: bool = True) -> None:
        self.said: list[str] = []
        self.judge = Judge(self.said.append)
        self.now = 1000.0
        self.be(free=free)

    def be(self, alive: bool = True, free: bool = True) -> None:
        """`alive` is whether eth0 is."""
        self.judge.note_uplinks([Uplink("eth0", alive, True), Uplink("eth1", True, free)])

    def go_on(self, first: Second, second: Second, times: int, joined: bool = False) -> None:
        for _ in range(times):
            self.now += 1.0
            self.judge.note({"eth0": first, "eth1": second}, joined, self.now)

    @property
    def roles(self) -> dict[str, str]:
        return self.judge.list_roles()


def demote() -> Trial:
    """eth1 is a backup since a moment ago, and unused."""
    trial = Trial()
    trial.go_on(load(20, at_best=50), load(2), 4)
    assert trial.roles == {"eth1": "carries 2 of 50 Mbit/s"}
    return trial


def test_one_that_carries_little_and_slows_the_other_is_a_backup_after_some_seconds() -> None:
    trial = Trial()
    trial.go_on(load(20, at_best=50), load(2), 3)
    assert trial.roles == {} and trial.said == []
    trial.go_on(load(20, at_best=50), load(2), 1)
    assert trial.roles == {"eth1": "carries 2 of 50 Mbit/s"}
    assert trial.said == ["eth1: backup: carries 2 of 50 Mbit/s"]
    trial.go_on(load(47), NOTHING, 30)
    assert len(trial.said) == 1


def test_which_one_it_is_does_not_matter() -> None:
    trial = Trial()
    trial.go_on(load(2), load(20, at_best=50), 4)
    assert list(trial.roles) == ["eth0"]


@pytest.mark.parametrize(("first", "second"), [
    (load(50), load(50)), (load(50), load(25)), (load(50), load(18)),
    # It is a fifth, and both together carry more than the better one can.
    (load(48, at_best=50), load(10)), (NOTHING, NOTHING),
    # A slow server, a stream, and a burst, by one uplink alone.
    (load(8), NOTHING), (NOTHING, load(1)), (load(1), NOTHING), (load(0.01, at_best=40), NOTHING)])
def test_what_helps_or_does_nothing_is_left_alone(first: Second, second: Second) -> None:
    trial = Trial()
    trial.go_on(first, second, 60)
    assert trial.roles == {} and trial.said == []


def test_a_fifth_is_too_little_where_both_together_are_slower_than_the_better_one() -> None:
    trial = Trial()
    trial.go_on(load(30, at_best=50), load(10), 4)
    assert trial.roles == {"eth1": "carries 10 of 50 Mbit/s"}


def test_pieces_that_are_asked_for_one_after_another() -> None:
    """Nobody sees their connections; that they got second subflows tells that they use both."""
    for joined, roles in ((False, {}), (True, {"eth1": "carries 2 of 48 Mbit/s"})):
        trial = Trial()
        pieces = load(20, pauses=4, at_best=48)._replace(shared_down=0.0)
        trial.go_on(pieces, load(2, pauses=3)._replace(shared_down=0.0), 4, joined)
        assert trial.roles == roles


def test_what_is_used_by_others_alone_is_not_judged() -> None:
    """A call over eth1, and a download by plain TCP over eth0."""
    trial = Trial()
    trial.go_on(load(50)._replace(shared_down=0.0), load(1)._replace(shared_down=0.0), 60)
    assert trial.roles == {}


def test_a_stream_over_the_weak_one_alone_is_left_there() -> None:
    trial = Trial()
    trial.go_on(load(50)._replace(shared_down=0.0), load(1), 60)
    assert trial.roles == {}


@pytest.mark.parametrize(("up", "rtt", "roles"), [
    (2.0, 0.8, {"eth1": "carries 2 of 24 Mbit/s, 800 ms when loaded"}),
    (5.0, 0.02, {"eth1": "carries 5 of 24 Mbit/s"}), (12.0, 0.8, {})])
def test_uploads(up: float, rtt: float, roles: dict[str, str]) -> None:
    trial = Trial()
    trial.go_on(send(24), send(up, rtt=rtt), 4)
    assert trial.roles == roles


@pytest.mark.parametrize(("alone", "roles"), [
    (48, {"eth1": "carries 10 of 48 Mbit/s"}), (37, {}), (26, {})])
def test_an_upload_that_may_be_faster_without_is_tried_without(
    alone: float, roles: dict[str, str]
) -> None:
    """The better one's rate shows only while the other one rests."""
    trial = Trial()
    trial.go_on(send(26), send(10), 4)
    assert trial.roles == {"eth1": "carries 10 of 26 Mbit/s"} and trial.said == []
    trial.go_on(send(26), send(10), 1)
    trial.go_on(send(alone), NOTHING, 4)
    assert trial.roles == roles
    assert trial.said == [f"eth1: backup: {why}" for why in roles.values()]


@pytest.mark.parametrize(("alone", "roles"), [
    (29, {"eth1": "carries 5 of 29 Mbit/s"}), (18, {}), (13, {})])
def test_the_better_one_shows_its_rate_to_requests_while_the_other_one_rests(
    alone: float, roles: dict[str, str]
) -> None:
    trial = Trial()
    blocked = load(4, pauses=4, at_best=13)._replace(shared_down=0.0)
    weak = load(5, pauses=3)._replace(shared_down=0.0)
    trial.go_on(blocked, weak, 4, joined=True)
    assert trial.roles == {"eth1": "carries 5 of 13 Mbit/s"} and trial.said == []
    trial.go_on(load(alone, pauses=5), NOTHING, 5, joined=True)
    assert trial.roles == roles and trial.said == [
        f"eth1: backup: {why}" for why in roles.values()]


def test_beside_a_better_one_that_is_full_itself_nothing_rests() -> None:
    trial = Trial()
    trial.go_on(load(50), load(20), 60)
    assert trial.roles == {}


def test_one_that_is_better_used_rests_more_and_more_seldom() -> None:
    trial = Trial()
    rested = 0
    for _ in range(400):
        rests = bool(trial.roles)
        rested += rests
        trial.go_on(send(26), NOTHING if rests else send(10), 1)
    # Two minutes and four after the first one.
    assert rested == 3 * 5 and trial.said == []


def test_one_that_is_of_no_use_for_weeks_goes_on_to_be_tried() -> None:
    """Every ten minutes, more than a thousand times."""
    trial = demote()
    for _ in range(1100):
        trial.now += 600
        trial.go_on(load(47), NOTHING, 4)
        assert not trial.roles
        trial.go_on(load(47), load(2), 3)
        assert trial.roles
    assert len(trial.said) == 1


def test_what_is_tried_ends_though_nobody_looks() -> None:
    """A rest, and then a trial; nothing is found by either."""
    resting, tried = Trial(), demote()
    resting.go_on(send(26), send(10), 4)
    tried.now += 60
    tried.go_on(load(47), NOTHING, 4)
    for trial, seconds in ((resting, 5), (tried, 3)):
        said, during = list(trial.said), trial.roles
        trial.judge.end_overdue(trial.now + seconds + 1)
        assert trial.roles == during
        trial.judge.end_overdue(trial.now + seconds + 3)
        assert bool(trial.roles) != bool(during) and trial.said == said


def test_where_a_trial_was_wrong_the_next_one_comes_later() -> None:
    """What helps for the moment of a trial, and harms behind it, is no reason to flap."""
    trial = demote()
    pauses = []
    for _ in range(4):
        began = trial.now
        while trial.roles:
            trial.go_on(load(47), NOTHING, 1)
        pauses.append(trial.now - began)
        trial.go_on(load(47), load(30), 4)
        assert not trial.roles
        trial.go_on(load(20, at_best=50), load(2), 30)
        assert trial.roles
    assert pauses == sorted(pauses) and pauses[-1] > 4 * pauses[0]


def test_an_upload_that_ends_while_one_rests_tells_nothing() -> None:
    trial = Trial()
    trial.go_on(send(26), send(10), 4)
    trial.go_on(load(50), NOTHING, 6)
    assert trial.roles == {} and trial.said == []


def test_an_upload_that_has_pauses_is_not_full() -> None:
    trial = Trial()
    trial.go_on(send(24), send(2, busy=0.5), 60)
    assert trial.roles == {}


def test_answers_to_an_upload_are_no_download() -> None:
    trial = Trial()
    trial.go_on(send(40)._replace(moments=(1.7e6,) * 10),
                send(20)._replace(moments=(0.35e6,) * 10, shared_down=1e5), 60)
    assert trial.roles == {}


def test_some_seconds_in_between_are_forgotten() -> None:
    trial = Trial()
    for _ in range(5):
        trial.go_on(load(20, at_best=50), load(2), 3)
        trial.go_on(load(50), load(25), 8)
    assert trial.roles == {}


def test_the_better_one_is_lost_and_the_other_one_is_none_any_more() -> None:
    trial = demote()
    trial.be(alive=False)
    assert trial.roles == {}
    trial.be(alive=True)
    assert list(trial.roles) == ["eth1"]


def test_the_administrators_word_is_never_overridden() -> None:
    trial = Trial(free=False)
    trial.go_on(load(20, at_best=50), load(2), 30)
    assert trial.roles == {}
    trial = demote()
    trial.be(free=False)
    assert trial.roles == {}


def test_of_two_that_are_weak_one_stays() -> None:
    trial = Trial()
    trial.judge.recall("eth0", Verdict(Best(2e6), "carries 2 of 50 Mbit/s"))
    trial.judge.recall("eth1", Verdict(Best(2e6), "carries 2 of 50 Mbit/s"))
    assert trial.roles == {}


def test_a_backup_is_tried_a_minute_later_while_the_other_one_is_full() -> None:
    trial = demote()
    trial.go_on(load(47), NOTHING, 59)
    assert list(trial.roles) == ["eth1"] and not trial.judge.on_trial
    trial.go_on(load(47), NOTHING, 1)
    assert trial.roles == {} and trial.judge.on_trial


@pytest.mark.parametrize("second", [NOTHING, load(2)])
def test_a_trial_that_shows_no_more_ends_and_the_next_one_comes_later(second: Second) -> None:
    trial = demote()
    trial.go_on(load(47), NOTHING, 60)
    trial.go_on(load(20, at_best=50), second, 3)
    assert list(trial.roles) == ["eth1"] and not trial.judge.on_trial
    trial.go_on(load(47), NOTHING, 116)
    assert not trial.judge.on_trial
    trial.go_on(load(47), NOTHING, 1)
    assert trial.judge.on_trial and len(trial.said) == 1


def test_a_trial_that_goes_well_ends_the_role() -> None:
    trial = demote()
    trial.go_on(load(47), NOTHING, 60)
    trial.go_on(load(47), load(30), 3)
    assert trial.roles == {} and not trial.judge.on_trial
    assert trial.said[1:] == ["eth1: active again: carries 30 Mbit/s by now"]
    trial.go_on(load(47), load(30), 60)
    assert trial.roles == {}


def test_where_the_better_one_has_faded_the_other_one_is_tried_soon() -> None:
    trial = demote()
    trial.go_on(load(47), NOTHING, 20)
    trial.go_on(load(4), NOTHING, 2)
    assert not trial.judge.on_trial
    trial.go_on(load(4), NOTHING, 1)
    assert trial.judge.on_trial
    trial.go_on(load(4), load(2), 3)
    assert trial.roles == {} and not trial.judge.on_trial
    assert trial.said[1:] == ["eth1: active again: carries 2 Mbit/s by now"]


def test_where_nobody_wants_more_nothing_is_tried() -> None:
    trial = demote()
    trial.go_on(load(1), NOTHING, 300)
    trial.go_on(NOTHING, NOTHING, 300)
    assert list(trial.roles) == ["eth1"] and not trial.judge.on_trial


def test_one_whose_rate_changes_all_the_time_changes_its_role_seldom() -> None:
    """Twice a minute at the most."""
    trial = Trial()
    changes, before = 0, trial.roles
    for number in range(120):
        weak = load(20, at_best=50), load(2)
        trial.go_on(*(weak if number % 2 else (load(50), load(30))), 5)
        changes, before = changes + (list(trial.roles) != list(before)), trial.roles
    assert changes <= 2 * 10


def test_what_was_found_is_told_and_taken_up_again() -> None:
    trial = demote()
    verdicts = trial.judge.list_verdicts()
    assert verdicts == {"eth1": Verdict(Best(2e6, 0.0), "carries 2 of 50 Mbit/s")}
    later = Trial()
    for iface, verdict in verdicts.items():
        later.judge.recall(iface, verdict)
    assert later.roles == {"eth1": "carries 2 of 50 Mbit/s"}


def test_one_uplink_alone_is_never_a_backup() -> None:
    judge = Judge(lambda text: None)
    judge.recall("eth1", Verdict(Best(2e6), "carries 2 of 50 Mbit/s"))
    judge.note_uplinks([Uplink("eth1", True, True)])
    assert judge.list_roles() == {}


@pytest.mark.parametrize(("rate", "text"), [
    (49.6e6, "50"), (10.4e6, "10"), (9.96e6, "10"), (2.2e6, "2.2"), (2e6, "2"), (0.34e6, "0.3")])
def test_rates_in_words(rate: float, text: str) -> None:
    assert describe_rate(rate) == text


def test_a_round_trip_is_told_where_it_is_long() -> None:
    assert describe_rates(2e6, 50e6, 0.8) == "carries 2 of 50 Mbit/s, 800 ms when loaded"
    assert describe_rates(2e6, 50e6, 0.05) == "carries 2 of 50 Mbit/s"
