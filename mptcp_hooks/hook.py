"""What ifupdown starts: an environment comes in, and the exit status is 0 whatever happens.

A hook that fails makes ifup fail and forget the interface, so nothing may leave
here as an error; interfaces(5).
"""

from __future__ import annotations

import os

from mptcp_hooks.engine import carry_out
from mptcp_hooks.errors import Problem
from mptcp_hooks.event import read_event
from mptcp_hooks.record import Store, open_for_writing
from mptcp_hooks.report import Reporter
from mptcp_hooks.system import wait_for_duplicate_check
from mptcp_hooks.value import TYPE_CHECKING
from mptcp_hooks.work import Work, prepare_down, prepare_farewell, prepare_up

if TYPE_CHECKING:
    from collections.abc import Callable


def run_if_up() -> None:
    """if-up.d: the interface has its addresses."""
    _guard(Reporter("mptcp_up", log=True), _bring_up)


def run_if_down() -> None:
    """if-down.d: it is about to lose them; a transfer moves on while the link still carries."""
    _guard(Reporter("mptcp_down", log=True), _say_farewell)


def run_if_post_down() -> None:
    """if-post-down.d: they are gone."""
    _guard(Reporter("mptcp_down", log=True), _bring_down)


def _bring_up(reporter: Reporter) -> None:
    event = read_event(os.environ)
    if event is None:
        return
    events = [event]
    wait_for_duplicate_check(event.device, event.addresses)
    _work(reporter, lambda store: prepare_up(store, events))


def _say_farewell(reporter: Reporter) -> None:
    leaving = _read_leaving()
    _work(reporter, lambda store: prepare_farewell(store, leaving))


def _bring_down(reporter: Reporter) -> None:
    leaving = _read_leaving()
    _work(reporter, lambda store: prepare_down(store, leaving))


def _read_leaving() -> list[str]:
    """The interface alone: the stanza's values may have been edited since the way up."""
    event = read_event({"IFACE": os.environ.get("IFACE", "")})
    return [event.iface] if event else []


def _work(reporter: Reporter, prepare: Callable[[Store], Work]) -> None:
    verbose = os.environ.get("VERBOSITY") == "1"
    with open_for_writing() as store:
        work = prepare(store)
        for line in work.list_lines() if verbose else ():
            reporter.show(line)
        for text in (*work.warnings, *(work.remarks if verbose else ())):
            reporter.say(text)
        for problem in carry_out(store, work):
            reporter.say(str(problem))


def _guard(reporter: Reporter, act: Callable[[Reporter], None]) -> None:
    try:
        act(reporter)
    except Problem as problem:
        reporter.say(f"{problem}")
    except Exception as error:  # noqa: BLE001 (an error of ours must not cost anyone an ifup)
        trace = error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
        iface = os.environ.get("IFACE", "?")
        reporter.say(f"{iface}: unexpected {type(error).__name__} at {place}: {error} "
                     "(please report it)")
