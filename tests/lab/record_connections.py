# SPDX-License-Identifier: GPL-2.0-or-later
"""Record `ss -Menita` of real connections anew, for tests/cases/connections/.

    python3 -m tests.lab.record_connections DEB [SS [NAME...]]

SS is another release's ss; its recordings have its version in their names. What
is made of them is written too: read the difference before it is committed.
tests/unit/connection_cases.py says what the files of a case are.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from mptcp_hooks.status.connections import SS_ARGUMENTS
from tests.lab.support.lab import (
    NOBODY,
    SERVER_4,
    SERVER_6,
    TRANSFER,
    TWO_UPLINKS,
    TWO_UPLINKS_6,
    Host,
    Installation,
    Lab,
    begin_run,
    end_process,
)
from tests.lab.support.paths import MEGABYTE, pull
from tests.lab.support.waiting import wait_for
from tests.unit.connection_cases import CASES, describe_case, draw_case

MAPPED_SERVER = f"::ffff:{SERVER_4}"
TWO_UPLINKS_BACKUP = TWO_UPLINKS + "    mptcp-flags subflow backup\n"
_LONG = 1000 * MEGABYTE
# A server that does not ask for MPTCP.
_PLAIN_SERVER = f"""\
import socket
listener = socket.create_server(({SERVER_4!r}, 5001))
print("listening", flush=True)
connection, _ = listener.accept()
while connection.recv(1 << 18):
    pass
"""


def ask_ss(host: Host, *program: str) -> str:
    """What ss prints on a host; `program` is another one, or what is to run it."""
    return host.run(*(program or ("ss",)), *SS_ARGUMENTS)


def list_devices(host: Host) -> dict[str, str]:
    """The device of each address of a host; ss names those of link-local ones itself."""
    return {address["local"]: row["ifname"] for row in host.ask("addr")
            for address in row["addr_info"] if address["scope"] != "link"}


def begin(lab: Lab, interfaces: str = TWO_UPLINKS, server: str = SERVER_4) -> None:
    """A transfer that carries something over each uplink that it may use."""
    lab.set_interfaces(interfaces)
    lab.ifup("-a")
    lab.begin_transfer(_LONG, server)
    wait_for(lambda: max(lab.count_sent()) > MEGABYTE)


def begin_on_both(lab: Lab, server: str = SERVER_4) -> None:
    begin(lab, TWO_UPLINKS_6 if server == SERVER_6 else TWO_UPLINKS, server)
    wait_for(lambda: min(lab.count_sent()) > MEGABYTE)


def begin_with_plain_server(lab: Lab) -> None:
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    server = lab.server.start(sys.executable, "-c", _PLAIN_SERVER)
    assert server.stdout is not None and server.stdout.readline() == "listening\n"
    lab.client.start(sys.executable, TRANSFER, "send", SERVER_4, "5001", str(_LONG))
    wait_for(lambda: max(lab.count_sent()) > MEGABYTE)


def begin_and_pull(lab: Lab) -> None:
    """eth1's cable is pulled under its subflow, which waits in vain from then on."""
    begin_on_both(lab)
    pull(lab, 1)
    wait_for(lambda: re.search(r"timer:\(on,\w+,3\)", ask_ss(lab.client)))


def begin_without_cable(lab: Lab) -> None:
    """eth1's cable is out when its subflow is to begin."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    pull(lab, 1)
    lab.begin_transfer(_LONG)
    wait_for(lambda: "SYN-SENT" in ask_ss(lab.client) and max(lab.count_sent()) > MEGABYTE)


def begin_and_remove_endpoint(lab: Lab) -> None:
    """eth1's cable is pulled and its endpoint taken away: its subflow cannot say farewell."""
    begin_on_both(lab)
    pull(lab, 1)
    (row,) = [row for row in lab.client.ask("mptcp", "endpoint") if row["dev"] == "eth1"]
    lab.client.ip(f"mptcp endpoint delete id {row['id']}")


def end(lab: Lab) -> None:
    """What is left of a transfer is in TIME-WAIT."""
    lab.set_interfaces(TWO_UPLINKS)
    lab.ifup("-a")
    lab.transfer(MEGABYTE)
    wait_for(lambda: "mptcp" not in ask_ss(lab.client))


def begin_and_kill(lab: Lab) -> None:
    """The process is gone, its socket still has data to send."""
    begin_on_both(lab)
    lab.client.run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "1mbit", "burst",
                   "16kb", "latency", "50ms")
    (sender,) = lab.client.run("pgrep", "-f", f"{TRANSFER} send").split()
    end_process(int(sender))
    wait_for(lambda: "mptcp FIN-WAIT" in " ".join(ask_ss(lab.client).split()))


def begin_many(lab: Lab) -> None:
    """Six connections of both families, one after the other on ports of their own."""
    lab.set_interfaces(TWO_UPLINKS + TWO_UPLINKS_6.replace("auto eth0 eth1\n", ""))
    lab.ifup("-a")
    for port, server in enumerate((SERVER_4, SERVER_6) * 3, start=5002):
        listener = lab.server.start(sys.executable, TRANSFER, "listen", server, str(port))
        assert listener.stdout is not None and listener.stdout.readline() == "listening\n"
        lab.client.start(sys.executable, TRANSFER, "stream", server, str(port), "60")
    wait_for(lambda: ask_ss(lab.client).count("mptcp flags:Jjec") == 6)


# What begins each case; who is asked is the client, if it is not named `...-server`.
_SCENES: dict[str, Callable[[Lab], object]] = {
    "two-subflows": begin_on_both,
    "two-subflows-server": begin_on_both,
    "without-root": begin_on_both,
    "ipv6": lambda lab: begin_on_both(lab, SERVER_6),
    "ipv4-mapped": lambda lab: begin_on_both(lab, MAPPED_SERVER),
    "backup": lambda lab: begin(lab, TWO_UPLINKS_BACKUP),
    "backup-server": lambda lab: begin(lab, TWO_UPLINKS_BACKUP),
    "fallback": begin_with_plain_server,
    "pulled-cable": begin_and_pull,
    "no-cable": begin_without_cable,
    "killed": begin_and_kill,
    "removed-endpoint": begin_and_remove_endpoint,
    "ended": end,
    "many": begin_many,
    "none": lambda lab: None,
}


def record(lab: Lab, name: str, folder: Path, ss: str) -> None:
    """Write one case; the lab is fresh."""
    _SCENES[name](lab)
    host = lab.server if name.endswith("-server") else lab.client
    user = NOBODY if name == "without-root" else ()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ss.txt").write_text(ask_ss(host, *user, ss))
    (folder / "devices").write_text("".join(
        f"{address} {device}\n" for address, device in list_devices(host).items()))
    (folder / "screen.txt").write_text(draw_case(folder))
    (folder / "connections.json").write_text(describe_case(folder))


def main(deb: Path, ss: str = "ss", *names: str) -> None:
    version = subprocess.run([ss, "-V"], capture_output=True, text=True, check=True).stdout.strip()
    suffix = "" if ss == "ss" else f"-{version.rpartition('-')[2]}"
    begin_run()
    with closing(Installation(deb)) as installation:
        for name in names or _SCENES:
            with closing(Lab((installation.layer,))) as lab:
                record(lab, name, CASES / f"{name}{suffix}", ss)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), *sys.argv[2:])
