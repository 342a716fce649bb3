# SPDX-License-Identifier: GPL-2.0-or-later
"""A host on which sysvinit is process 1, as on Devuan, with ifupdown's networking and a syslog.

Only these scripts and ours are run at its boot. sysvinit's package is not installed but taken
apart: its scripts would speak to process 1 of the machine, and would have systemd go.
"""

from __future__ import annotations

from pathlib import Path

from tests.lab.support.booted import BootedHost
from tests.lab.support.programs import ARCHIVES, download

# The packages of the host, and that of its process 1.
SYSVINIT = ("sysv-rc", "busybox-syslogd")
_INIT = "sysvinit-core"
_INITTAB = """\
id:2:initdefault:
si::sysinit:/lib/init/rc S
l2:2:wait:/lib/init/rc 2
on:2:once:/usr/bin/touch /run/booted
"""
_BY_SYSVINIT = f"""\
dpkg --fsys-tarfile {ARCHIVES}/{_INIT}_*.deb | tar -xO ./sbin/init >/usr/lib/lab-init
chmod 755 /usr/lib/lab-init
rm -rf /etc/rc?.d/* /usr/sbin/policy-rc.d
for name in networking busybox-syslogd mptcp-hooks; do update-rc.d $name defaults; done
cat >/etc/inittab <<end
{_INITTAB}end
echo ready
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/lib/lab-init </dev/null >/run/init.log 2>&1
"""


class SysvHost(BootedHost):
    """As Host, with sysvinit; CannotBoot says why not."""

    program, way = "usr/lib/init/rc", _BY_SYSVINIT

    def __init__(self, scratch: Path, layers: tuple[Path, ...] | None = None) -> None:
        download((_INIT,))
        super().__init__(scratch, layers)

    def _wait_for_boot(self) -> None:
        self._wait_for("test", "-e", "/run/booted")
