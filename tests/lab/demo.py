# SPDX-License-Identifier: GPL-2.0-or-later
"""`make demo`: what a newcomer looks at. Two uplinks, the real ifup, one connection over both.

The first act has fixed addresses, the second DHCP, and cables that are pulled under running
connections and new ones, the third a program that does not ask for Multipath TCP, the
fourth a weak second uplink.
"""

from __future__ import annotations

import subprocess
import sys
import time
import traceback
from contextlib import ExitStack, closing
from pathlib import Path

from tests.lab.support.lab import (
    SERVER_4,
    TWO_UPLINKS,
    Lab,
    Sent,
    begin_run,
    find_obstacles,
)
from tests.lab.support.monitor import Monitor
from tests.lab.support.newcomer import connect, receive
from tests.lab.support.paths import MEGABYTE, plug, pull
from tests.lab.support.programs import NoSuchPackage, Programs
from tests.lab.support.provider import Provider
from tests.lab.support.waiting import wait_for

UPLOAD = f"""\
#!/usr/bin/python3
import socket
connection = socket.create_connection(("{SERVER_4}", 5001))
connection.sendall(bytes({22 * MEGABYTE}))
connection.shutdown(socket.SHUT_WR)
connection.recv(200)
"""
TRAFFIC = ("env", f"PYTHONPATH={Path(__file__).parents[2]}", sys.executable, "-B", "-m",
           "tests.bench.traffic")
TWO_DHCP = """\
auto eth0 eth1
iface eth0 inet dhcp
iface eth1 inet dhcp
"""


def main(deb: Path) -> None:
    obstacles = find_obstacles()
    if obstacles:
        sys.exit(f"make demo: cannot build the lab: {obstacles}")
    begin_run()
    try:
        show(deb)
    except KeyboardInterrupt:
        sys.exit("make demo: stopped")
    except NoSuchPackage as missing:
        sys.exit(f"make demo: this Debian has no package {missing}")
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        sys.exit(f"make demo: {summarize(error)}")


def summarize(error: Exception) -> str:
    """What failed, and the last that was said of it, where programs say why; in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        place = traceback.extract_tb(error.__traceback__)[-1]
        lines = [f"{place.name}: {place.line}"]
    return " ".join(dict.fromkeys((lines[0], lines[-1])))


def show(deb: Path) -> None:
    say("Fetching DHCP programs and mptcpize into build/packages; they are not installed here.")
    with ExitStack() as stack:
        client = stack.enter_context(closing(fetch_dhcp_client()))
        router = stack.enter_context(closing(Programs(("dnsmasq-base", "radvd"))))
        mptcpize = stack.enter_context(closing(Programs(("mptcpize",))))
        lab = stack.enter_context(closing(
            Lab((mptcpize.layer, client.layer), router_layers=(router.layer,))))
        show_first_act(lab, deb)
        show_second_act(lab)
        show_third_act(lab)
        show_fourth_act(lab)


def fetch_dhcp_client() -> Programs:
    """What ifupdown of this Debian uses by itself: dhclient, dhcpcd where that is no more."""
    try:
        return Programs(("isc-dhcp-client",))
    except NoSuchPackage:
        return Programs(("dhcpcd-base",))


def show_first_act(lab: Lab, deb: Path) -> None:
    forget_package(lab)
    introduce(lab)
    show_without(lab)
    show_installing(lab, deb)
    show_with(lab)
    show_losing_an_uplink(lab)
    show_leaving(lab)


def show_second_act(lab: Lab) -> None:
    for number in (1, 2):
        Provider(lab, number).serve_dhcp()
    show_leases(lab)
    monitor = Monitor(lab)
    show_with(lab, 7)
    show_pulling_a_cable(lab, monitor)
    show_a_new_connection(lab, monitor)
    monitor.stop()
    show_leaving(lab, 10)


def show_third_act(lab: Lab) -> None:
    title("11. Third act: a program that does not ask for Multipath TCP")
    lab.write("/usr/local/bin/upload", UPLOAD)
    lab.client.run("chmod", "755", "/usr/local/bin/upload")
    lab.write("/etc/network/interfaces", TWO_UPLINKS)
    lab.client.run("ifup", "-a")
    say("upload is a few lines of Python; it opens a TCP connection, as most programs do.\n")
    upload(lab, "upload")
    say("\nmptcp_run looks at the program, and forces it by what fits:\n")
    upload(lab, "mptcp_run", "-v", "--check", "upload")
    show_leaving(lab, 12)


def show_fourth_act(lab: Lab) -> None:
    title("13. Fourth act: eth1 is a weak uplink, of 5 Mbit/s and with a long queue")
    for device in ("lan", "wan"):
        lab.routers[1].run("tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", "5mbit",
                           "burst", "8kb", "latency", "800ms")
    lab.client.run("ifup", "-a")
    server = lab.server.start(*TRAFFIC, "serve")
    assert server.stdout is not None and server.stdout.readline() == "ready\n"
    download(lab, "eth0 alone", "10.1.1.2")
    download(lab, "both", "any")
    say("\nmptcp_monitor is started, and downloads go on. It says:\n")
    monitor = Monitor(lab)
    wait_for(lambda: bool(fetch(lab, "any")) and any(
        "backup" in text for text in monitor.read_words()), 60)
    for line in monitor.read_words():
        if "backup" in line:
            say(line, indent=4)
    # What is in the queue has to come out of it.
    time.sleep(1)
    say("")
    download(lab, "both", "any")
    look(lab)
    server.kill()
    monitor.stop()
    show_leaving(lab, 14)


def download(lab: Lab, name: str, source: str) -> None:
    say(f"download of 8 MB by {name + ':':<12} {fetch(lab, source):.1f} s")


def fetch(lab: Lab, source: str) -> float:
    """The seconds that a download takes by all uplinks, or from an address alone."""
    return float(lab.client.run(*TRAFFIC, "download", source, "cubic", "1"))


def upload(lab: Lab, *command: str) -> None:
    """Run a command that sends 22 MB, and show what it says and what each uplink carried."""
    receiver = lab.begin_receiving()
    before, began = lab.count_sent(), time.monotonic()
    say(f"# {' '.join(command)}")
    done = lab.client.try_run(*command)
    seconds = time.monotonic() - began
    assert done.returncode == 0, f"{' '.join(command)} ends with {done.returncode}\n{done.stderr}"
    first, second = ((now - then) / MEGABYTE for now, then in zip(lab.count_sent(), before))
    receiver.communicate(timeout=20)
    for line in done.stderr.splitlines():
        say(line, indent=4)
    say(f"{22 * 8 / seconds:.0f} Mbit/s: 22 MB in {seconds:.1f} s; eth0 {first:.1f} MB, "
        f"eth1 {second:.1f} MB")


def forget_package(lab: Lab) -> None:
    """Begin without the package where the machine itself has it; only the client loses it."""
    if lab.client.try_run("dpkg", "-s", "mptcp-hooks").returncode == 0:
        lab.client.run("dpkg", "--purge", "mptcp-hooks")


def introduce(lab: Lab) -> None:
    title("A client with two uplinks of 50 Mbit/s, a server behind both")
    say("client eth0 10.1.1.2 --- router1 ---.\n"
        f"                                     server {SERVER_4}\n"
        "client eth1 10.1.2.2 --- router2 ---'\n\n"
        "All in namespaces of this machine; its own network is not touched. The routers\n"
        "drop foreign source addresses, as providers do.\n")
    say("/etc/network/interfaces of the client:\n")
    say(TWO_UPLINKS.rstrip(), indent=4)
    lab.write("/etc/network/interfaces", TWO_UPLINKS)


def show_without(lab: Lab) -> None:
    title("1. ifup without mptcp-hooks: MPTCP has one path")
    run(lab, "ifup", "-a")
    tell(lab.transfer(22 * MEGABYTE))
    run(lab, "ifdown", "-a")


def show_installing(lab: Lab, deb: Path) -> None:
    title("2. The package, and the same ifup")
    say(f"# dpkg -i {deb.name}")
    lab.client.run("dpkg", "-i", str(deb))
    run(lab, "ifup", "-a")
    say("\nIt added a table, rules and an endpoint for each uplink:\n")
    run(lab, "ip", "rule", drop=("lookup local", "lookup default"))
    for row in lab.client.ask("mptcp", "endpoint"):
        index = lab.client.run("cat", f"/sys/class/net/{row['dev']}/ifindex").strip()
        run(lab, "ip", "route", "show", "table", str(20000 + int(index)))
    run(lab, "ip", "mptcp", "endpoint")
    say("\nWhether that works, in one look:\n")
    look(lab)


def show_with(lab: Lab, number: int = 3) -> None:
    title(f"{number}. The same transfer, over both")
    tell(lab.transfer(44 * MEGABYTE))


def show_losing_an_uplink(lab: Lab) -> None:
    title("4. ifdown eth0 in the middle of a transfer")
    transfer = lab.begin_transfer(30 * MEGABYTE)
    wait_for(lambda: sum(transfer.count_sent()) > 15 * MEGABYTE)
    run(lab, "ifdown", "eth0")
    tell(transfer.finish())


def show_leases(lab: Lab) -> None:
    title("6. Second act: both uplinks by DHCP, from a real dnsmasq on each router")
    say(TWO_DHCP.rstrip() + "\n", indent=4)
    lab.write("/etc/network/interfaces", TWO_DHCP)
    run(lab, "ifup", "-a")
    say("\nmain has room for one default route; the second gateway came with the lease:\n")
    run(lab, "ip", "route", drop=("scope link",))
    index = lab.ifindex("eth1")
    run(lab, "ip", "route", "show", "table", str(20000 + index))
    run(lab, "ip", "mptcp", "endpoint")


def show_pulling_a_cable(lab: Lab, monitor: Monitor) -> None:
    title("8. The cable of eth1 is pulled in the middle of a transfer, and plugged in again")
    say("mptcp_monitor, the package's service, is running. It says:\n")
    transfer = lab.begin_transfer(60 * MEGABYTE)
    wait_for(lambda: sum(transfer.count_sent()) > 12 * MEGABYTE)
    connections = ask_status(lab, "--connections")
    whole = transfer.count_sent()
    pull(lab, 1)
    wait_for(lambda: len(lab.endpoints()) == 1)
    paths = ask_status(lab)
    wait_for(lambda: sum(transfer.count_sent()) > 24 * MEGABYTE)
    out = transfer.count_sent()
    plug(lab, 1)
    wait_for(lambda: "again" in monitor.read_log()[-1])
    before = transfer.count_sent()
    sent = transfer.finish()
    for line in monitor.read_log():
        say(line, indent=4)
    tell(sent)
    tell_share("before the cable was pulled", whole)
    tell_share("while it was out", subtract(out, whole))
    tell_share("after it was back", subtract(sent.uplinks, before))
    say("\nThe transfer before the cable was pulled, and the paths while it was out:\n")
    say("# mptcp_status --connections")
    say(connections, indent=4)
    say("# mptcp_status")
    say(paths, indent=4)


def show_a_new_connection(lab: Lab, monitor: Monitor) -> None:
    title("9. The cable of eth0 is pulled, and a new connection begun, that is bound to nothing")
    run(lab, "ip", "route", "show", "default")
    said = len(monitor.read_words())
    with receive(lab):
        tell_newcomer(lab)
        pull(lab, 0)
        time.sleep(0.1)
        say("The cable is out, and main's default route still leads there:\n")
        run(lab, "ip", "route", "show", "default")
        tell_newcomer(lab)
        plug(lab, 0)
        wait_for(lambda: len(monitor.read_words()) >= said + 4, 60)
        say("\nIt is back, and ten seconds later:\n")
        tell_newcomer(lab)
    say("\nmptcp_monitor says:\n")
    for line in monitor.read_words()[said:]:
        say(line, indent=4)


def tell_newcomer(lab: Lab) -> None:
    newcomer = connect(lab)
    way = "nowhere" if newcomer.uplink is None else (
        f"eth{newcomer.uplink}, after {newcomer.seconds * 1000:.0f} ms")
    say(f"a new connection leaves by {way}")


def show_leaving(lab: Lab, number: int = 5) -> None:
    title(f"{number}. ifdown -a leaves nothing behind")
    run(lab, "ifdown", "-a")
    run(lab, "ip", "rule")
    run(lab, "ip", "mptcp", "endpoint")
    say("(no endpoint)" if not lab.client.ask("mptcp", "endpoint") else "ENDPOINTS LEFT BEHIND")


def run(lab: Lab, *command: str, drop: tuple[str, ...] = ()) -> None:
    """Show a command of the client's and what it prints."""
    say(f"# {' '.join(command)}")
    for line in lab.client.run(*command).splitlines():
        if not any(word in line for word in drop):
            say(line.rstrip().replace("\t", " "), indent=4)


def look(lab: Lab) -> None:
    say("# mptcp_status")
    say(ask_status(lab), indent=4)


def ask_status(lab: Lab, *options: str) -> str:
    """What mptcp_status prints; its exit status tells of a path that is broken."""
    return lab.client.try_run("mptcp_status", *options).stdout.rstrip()


def tell(sent: Sent) -> None:
    first, second = (count / MEGABYTE for count in sent.uplinks)
    say(f"transfer: {sent.rate:.0f} Mbit/s ({sent.size // MEGABYTE} MB in {sent.seconds:.1f} s; "
        f"eth0 {first:.1f} MB, eth1 {second:.1f} MB), "
        + ("received whole" if sent.whole else "NOT RECEIVED WHOLE"))


def tell_share(when: str, carried: tuple[int, int]) -> None:
    first, second = (count / MEGABYTE for count in carried)
    say(f"    {when:<28} eth0 {first:4.1f} MB, eth1 {second:4.1f} MB")


def subtract(now: tuple[int, int], then: tuple[int, int]) -> tuple[int, int]:
    """What each uplink carried since then."""
    return now[0] - then[0], now[1] - then[1]


def title(text: str) -> None:
    bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}== {text}{plain}", flush=True)


def say(text: str, indent: int = 0) -> None:
    for line in text.split("\n"):
        print(f"{' ' * indent}{line}".rstrip(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
