# SPDX-License-Identifier: GPL-2.0-or-later
"""mptcp_monitor --stopped: what only a running monitor keeps true goes back to what hooks make.

systemd runs it after the monitor has ended, however that was.
"""

from __future__ import annotations

from mptcp_hooks.base.value import TYPE_CHECKING
from mptcp_hooks.engine.carry_out import do_work
from mptcp_hooks.engine.faults import save_faults
from mptcp_hooks.engine.follow import prepare_wake
from mptcp_hooks.engine.names import end_leading
from mptcp_hooks.engine.record import lock_store
from mptcp_hooks.engine.roles import settle_roles
from mptcp_hooks.intent.configuration import read_configuration
from mptcp_hooks.machine.system import Machine

if TYPE_CHECKING:
    from collections.abc import Callable


def leave_to_hooks(show: Callable[[str], None] | None, say: Callable[[str], None]) -> int:
    """Take detours and names away, bring endpoints that are away back, and let subflows be opened.

    Nobody would later, and a path without an endpoint is worse than one that is out for a
    while. `show` hears each command before it runs, `say` what fails; 1 where anything does.
    """
    configuration, _ = read_configuration()
    machine = Machine(show)
    # Nobody knows any more which paths are out.
    save_faults(())
    with lock_store() as store:
        # The work that follows opens the way for subflows again.
        store.save_tunnels(())
        problems = [*end_leading(store, machine), *settle_roles(store, machine, ())]
    for problem in problems:
        say(str(problem))
    _, failed = do_work(machine, lambda store: prepare_wake(store, machine, configuration), say,
                        verbose=False)
    return int(bool(problems or failed))
