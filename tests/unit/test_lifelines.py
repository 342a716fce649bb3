# SPDX-License-Identifier: GPL-2.0-or-later
"""Which connections use a path and which lack it, and whose last subflow is on one."""

from __future__ import annotations

import pytest

from mptcp_hooks.base.model import Path
from mptcp_hooks.engine.lifelines import TOLD_AT_MOST, Use, find_lifelines, group, measure_use
from mptcp_hooks.machine.sockets import TCP_ESTABLISHED, TCP_SYN_SENT
from mptcp_hooks.machine.subflows import Subflow

FIRST, SECOND, SECOND6, PEER = "10.1.1.2", "10.1.2.2", "fd00:2::2", "10.99.0.1"
PATH = Path("eth1", "eth1", 3, 4, SECOND, "10.1.2.0/24", "10.1.2.1", False, True, 20003, True, True,
            ("subflow",))
PATH6 = PATH._replace(family=6, address=SECOND6)
NOTHING = Use("eth1", SECOND, 0, (), (), (), ())


def opened(token: int, local: str = FIRST, remote: str = PEER) -> Subflow:
    """A subflow that carries, of a connection that this end asked for."""
    return Subflow(token, local, remote, TCP_ESTABLISHED, 0, 0.1, True)


def accepted(token: int, local: str = FIRST) -> Subflow:
    """A subflow that carries, which the peer asked for."""
    return opened(token, local)._replace(asked=False)


def stuck(one: Subflow) -> Subflow:
    """The same after six timeouts in a row."""
    return one._replace(retransmits=6, silence=20.0)


def asking(one: Subflow, retransmits: int = 0) -> Subflow:
    """The same before its peer has answered."""
    return one._replace(state=TCP_SYN_SENT, retransmits=retransmits)


def measure(*subflows: Subflow, path: Path = PATH, lost: tuple[int, ...] = ()) -> Use:
    return measure_use(path, group(subflows), lost)


def test_subflows_are_put_together_by_their_token() -> None:
    one, other, third = opened(1), opened(2), opened(1, SECOND)
    assert group([one, other, third]) == {1: [one, third], 2: [other]}


@pytest.mark.parametrize("remote", ["127.0.0.1", "127.9.9.9", "::1"])
def test_a_connection_within_the_machine_is_nobodys(remote: str) -> None:
    assert group([opened(1, remote, remote)]) == {}


def test_a_path_is_used_by_who_has_a_subflow_on_it() -> None:
    assert measure(opened(1), opened(1, SECOND), accepted(2, SECOND),
                   asking(opened(3, SECOND)), opened(3)) == NOTHING._replace(using=2)


def test_several_subflows_on_it_are_one_use() -> None:
    """As fullmesh makes them, to each address of the peer."""
    assert measure(opened(1, SECOND), opened(1, SECOND, "10.99.0.2")).using == 1


def test_who_was_opened_here_and_never_had_it_lacks_it() -> None:
    assert measure(opened(1), opened(2)) == NOTHING._replace(lacking=(1, 2))


def test_who_had_it_lost_it() -> None:
    assert measure(opened(1), opened(2), lost=(2, 3)) == NOTHING._replace(lost=(2,), lacking=(1,))


def test_who_has_it_again_is_back() -> None:
    assert measure(opened(1), opened(1, SECOND), lost=(1,)) == NOTHING._replace(
        using=1, back=(1,))


def test_who_is_about_to_have_it_again_is_joining() -> None:
    joining = asking(opened(1, SECOND), retransmits=1)
    assert measure(opened(1), joining, lost=(1,)) == NOTHING._replace(joining=(1,))
    assert measure(opened(1), joining) == NOTHING


def test_who_asks_in_vain_lacks_it() -> None:
    silent = asking(opened(1, SECOND), retransmits=2)
    assert measure(opened(1), silent) == NOTHING._replace(lacking=(1,))
    assert measure(opened(1), silent, lost=(1,)) == NOTHING._replace(lost=(1,))


def test_whose_subflow_is_stuck_lost_it() -> None:
    assert measure(opened(1), stuck(opened(1, SECOND))) == NOTHING._replace(lost=(1,))


@pytest.mark.parametrize("others", [(), (stuck(opened(1)),), (asking(opened(1)),)])
def test_a_connection_that_stands_still_misses_nothing(others: tuple[Subflow, ...]) -> None:
    """What is made again would take away all that it has."""
    assert measure(stuck(opened(1, SECOND)), *others, lost=(1,)) == NOTHING


@pytest.mark.parametrize(("flags", "opens", "tells"), [
    (("subflow",), True, False), (("signal",), False, True), (("subflow", "signal"), True, True),
    (("subflow", "fullmesh"), True, False), (("subflow", "backup"), True, False),
])
def test_its_flags_say_for_whom_an_endpoint_is(
    flags: tuple[str, ...], opens: bool, tells: bool
) -> None:
    """The kernel opens subflows for who was opened here, and tells the others of the address."""
    used = measure(opened(1), accepted(2), path=PATH._replace(flags=flags), lost=(1, 2))
    assert used.lost == (1,) * opens + (2,) * tells


def test_an_accepted_connection_that_never_had_it_does_not_lack_it() -> None:
    """Whether its peer joins is the peer's."""
    assert measure(accepted(1), path=PATH._replace(flags=("signal", "subflow"))) == NOTHING


def test_a_connection_of_another_family_cannot_have_it() -> None:
    assert measure(opened(1), path=PATH6, lost=(1,)) == NOTHING._replace(address=SECOND6)
    both = opened(2), opened(2, "fd00:1::2", "2001:db8::1")
    assert measure(*both, path=PATH6).lacking == (2,)


def test_the_peer_may_be_told_of_an_address_of_any_family() -> None:
    assert measure(accepted(1), path=PATH6._replace(flags=("signal",)), lost=(1,)).lost == (1,)


def test_of_many_that_lack_it_a_sample_is_told() -> None:
    assert len(measure(*map(opened, range(1, 10_001))).lacking) == TOLD_AT_MOST


def lifelines(*subflows: Subflow, leaving: tuple[str, ...] = (SECOND,)) -> set[str]:
    return set(find_lifelines(group(subflows), frozenset(leaving)))


def test_the_last_subflow_of_a_connection_is_its_lifeline() -> None:
    assert lifelines(opened(1, SECOND)) == {SECOND}
    assert lifelines(opened(1, SECOND), opened(2)) == {SECOND}
    assert lifelines(opened(1, SECOND), opened(1)) == set()
    assert lifelines(opened(1)) == set()


def test_of_two_that_leave_both_are_kept() -> None:
    one = opened(1), opened(1, SECOND)
    assert lifelines(*one, leaving=(FIRST, SECOND)) == {FIRST, SECOND}


def test_what_is_no_more_than_asked_for_keeps_nothing_and_is_no_other_path() -> None:
    assert lifelines(asking(opened(1, SECOND))) == set()
    assert lifelines(opened(1, SECOND), asking(opened(1))) == {SECOND}


def test_a_subflow_that_is_stuck_is_kept_where_there_is_no_other() -> None:
    assert lifelines(stuck(opened(1, SECOND))) == {SECOND}


def test_a_path_over_which_nobody_gets_answers_is_no_other_path() -> None:
    waiting = opened(1)._replace(retransmits=2, silence=1.5)
    assert lifelines(opened(1, SECOND), waiting) == {SECOND}
    # Single ones may wait on a busy link, where others are answered.
    assert lifelines(opened(1, SECOND), waiting, opened(2)) == set()
    assert lifelines(opened(1, SECOND), waiting._replace(retransmits=1)) == set()
