"""What ifupdown starts: an environment comes in, and the exit status is 0 whatever happens.

A hook that fails makes ifup fail and forget the interface, so nothing may leave
here as an error; interfaces(5). Most calls are about interfaces that are not
ours: what they need is imported first, and the rest only after it is known to
be needed (docs/performance.md).
"""

from __future__ import annotations

import posix

from mptcp_hooks import folder
from mptcp_hooks.errors import Problem
from mptcp_hooks.event import Event, read_event
from mptcp_hooks.report import Reporter
from mptcp_hooks.settings import read_settings
from mptcp_hooks.value import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from mptcp_hooks.record import Store
    from mptcp_hooks.work import Work


def run_if_up() -> None:
    """if-up.d: the interface has its addresses."""
    _guard(Reporter("mptcp_up", log=True), _bring_up)


def run_if_down() -> None:
    """if-down.d: it is about to lose them; a transfer moves on while the link still carries."""
    _guard(Reporter("mptcp_down", log=True), _say_farewell)


def run_if_post_down() -> None:
    """if-post-down.d: they are gone."""
    _guard(Reporter("mptcp_down", log=True), _bring_down)


def _bring_up(reporter: Reporter, environment: dict[str, str]) -> None:
    event = read_event(environment)
    if event is None or _is_nobodys(event, environment):
        return
    from mptcp_hooks.system import wait_for_duplicate_check
    from mptcp_hooks.work import prepare_up

    events = [event]
    wait_for_duplicate_check(event.device, event.addresses)
    _work(reporter, environment, lambda store: prepare_up(store, events))


def _say_farewell(reporter: Reporter, environment: dict[str, str]) -> None:
    leaving = _read_leaving(environment)
    if leaving:
        from mptcp_hooks.work import prepare_farewell

        _work(reporter, environment, lambda store: prepare_farewell(store, leaving))


def _bring_down(reporter: Reporter, environment: dict[str, str]) -> None:
    leaving = _read_leaving(environment)
    if leaving:
        from mptcp_hooks.work import prepare_down

        _work(reporter, environment, lambda store: prepare_down(store, leaving))


def _is_nobodys(event: Event, environment: dict[str, str]) -> bool:
    """Whether the interface is to be left alone, and nothing of it is on record or to be said."""
    return not (_is_verbose(environment) or read_settings(event).wanted
                or _is_on_record(event.iface))


def _read_leaving(environment: dict[str, str]) -> list[str]:
    """The interface, if it is on record; the stanza may have been edited since the way up."""
    event = read_event({"IFACE": environment.get("IFACE", "")})
    return [event.iface] if event and _is_on_record(event.iface) else []


def _is_on_record(iface: str) -> bool:
    return folder.exists(folder.RECORD, iface + folder.PATHS_SUFFIX)


def _is_verbose(environment: dict[str, str]) -> bool:
    """Whether `ifup -v` runs the hook."""
    return environment.get("VERBOSITY") == "1"


def _work(
    reporter: Reporter, environment: dict[str, str], prepare: Callable[[Store], Work]
) -> None:
    from mptcp_hooks.engine import carry_out
    from mptcp_hooks.record import open_store

    verbose = _is_verbose(environment)
    with open_store(lock=True) as store:
        work = prepare(store)
        for line in work.list_lines() if verbose else ():
            reporter.show(line)
        for text in (*work.warnings, *(work.remarks if verbose else ())):
            reporter.say(text)
        for problem in carry_out(store, work):
            reporter.say(str(problem))


def _guard(reporter: Reporter, act: Callable[[Reporter, dict[str, str]], None]) -> None:
    environment = {name.decode("utf-8", "surrogateescape"):
                   value.decode("utf-8", "surrogateescape")
                   for name, value in posix.environ.items()}
    try:
        act(reporter, environment)
    except Problem as problem:
        reporter.say(f"{problem}")
    except Exception as error:  # noqa: BLE001 (an error of ours must not cost anyone an ifup)
        trace = error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
        reporter.say(f"{environment.get('IFACE', '?')}: unexpected {type(error).__name__} "
                     f"at {place}: {error} (please report it)")
