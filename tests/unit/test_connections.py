# SPDX-License-Identifier: GPL-2.0-or-later
"""What ss printed of real connections, and of broken ones, as connections, screens and data."""

from __future__ import annotations

import re
import time

import pytest

from mptcp_hooks.machine.procfs import Process
from mptcp_hooks.status.connections import (
    Connection,
    Subflow,
    Total,
    choose_subflows,
    read_connections,
    sum_interfaces,
)
from mptcp_hooks.base.text import format_bytes
from mptcp_hooks.status.connections_view import (
    Owners,
    describe_connections,
    draw_connections,
)
from mptcp_hooks.status.paint import Paint
from tests.unit.connection_cases import CASES, describe_case, draw_case, read_case

NAMES = sorted(case.name for case in CASES.iterdir())
# More digits than int() takes.
MANY = "9" * 5000
DEVICES = {"10.1.1.2": "eth0", "10.1.2.2": "eth1"}
SOCKET = """\
mptcp ESTAB 0      0           10.1.1.2:40000    10.99.0.1:443 ino:77 sk:1 cgroup:/ <->
\t subflows:1 remote_key token:c0ffee write_seq:1 rcv_nxt:1
"""
FIRST = """\
tcp   ESTAB 0      0           10.1.1.2:40000    10.99.0.1:443 ino:77 sk:2 cgroup:/ <->
\t rtt:3.5/0.4 bytes_sent:1000 retrans:1/28
\t minrtt:0.5 tcp-ulp-mptcp flags:Mmec token:0000(id:0)/c0ffee(id:0)
"""
SECOND = """\
tcp   ESTAB 0      0      10.1.2.2%eth1:40001    10.99.0.1:443 ino:77 sk:3 cgroup:/ <->
\t rtt:9/2 bytes_received:2000 tcp-ulp-mptcp flags:Jjebc token:00ab(id:0)/c0ffee(id:3)
"""
TWO_SUBFLOWS = (
    Subflow("eth0", "10.1.1.2:40000", "10.99.0.1:443", "ESTAB", False, 0, 1000, 0, 3.5, 0,
            28, 0.5),
    Subflow("eth1", "10.1.2.2:40001", "10.99.0.1:443", "ESTAB", True, 3, 0, 2000, 9.0, 0),
)
CONNECTION = Connection("10.1.1.2:40000", "10.99.0.1:443", "ESTAB", False, "00c0ffee", 77,
                        TWO_SUBFLOWS)


@pytest.mark.parametrize("name", NAMES)
def test_recorded_case(name: str) -> None:
    case = CASES / name
    assert draw_case(case) == (case / "screen.txt").read_text()
    assert describe_case(case) == (case / "connections.json").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_each_subflow_of_a_recording_has_its_connection_and_its_device(name: str) -> None:
    """Counted in the text by other marks than those that the module joins them by."""
    text = (CASES / name / "ss.txt").read_text()
    connections = read_case(CASES / name)
    heads = [line.split() for line in text.splitlines() if line.startswith("mptcp")]
    assert len(connections) == len([words for words in heads if words[1] != "LISTEN"])
    subflows = [subflow for connection in connections for subflow in connection.subflows]
    assert len(subflows) == text.count("tcp-ulp-mptcp flags:")
    assert all(subflow.interface for subflow in subflows)


@pytest.mark.parametrize("text", [
    SOCKET + FIRST + SECOND, SECOND + FIRST + SOCKET,
    # What has no meaning here is passed over, the first line of ss too.
    "Netid State Recv-Q Send-Q Local Address:Port  Peer Address:PortProcess\n"
    + SECOND + "\n\n" + FIRST + "u_str ESTAB 0 0 * 1 * 2\ntcp ESTAB\nx\n" + SOCKET + "\t\n",
    # Blanks at the end of lines, processes (-p).
    "".join(text.replace("\n\t", " \n\t").replace(
        " ino:", ' users:(("a b) ino:3",pid=9,fd=3),("(c)",pid=10,fd=4)) ino:')
        for text in (FIRST, SECOND, SOCKET)),
])
def test_lines_in_any_order_and_with_others(text: str) -> None:
    assert read_connections(text, DEVICES) == (CONNECTION,)


def test_a_hidden_token_leaves_the_inode() -> None:
    text = SOCKET.replace(" token:c0ffee", "") + FIRST + SECOND
    assert read_connections(text, DEVICES) == (CONNECTION._replace(token=""),)


def test_a_subflow_without_its_token_goes_by_its_inode() -> None:
    text = SOCKET + FIRST + SECOND.replace(" token:00ab(id:0)/c0ffee(id:3)", "")
    (connection,) = read_connections(text, DEVICES)
    assert [subflow.identity for subflow in connection.subflows] == [0, None]


def test_an_inode_that_makes_no_sense_is_none() -> None:
    (connection,) = read_connections(SOCKET.replace("ino:77", f"ino:{MANY}"), DEVICES)
    assert connection.inode == 0


def test_sockets_of_no_process_are_not_one_connection() -> None:
    text = (FIRST + SECOND).replace("ino:77", "ino:0").replace("/c0ffee(", "/0000(")
    connections = read_connections(text, DEVICES)
    assert [connection.subflows for connection in connections] == [
        (subflow,) for subflow in TWO_SUBFLOWS]
    assert {connection.state for connection in connections} == {""}


def test_subflows_whose_socket_is_not_shown() -> None:
    """As where the kernel has no mptcp_diag."""
    connections = read_connections(FIRST + SECOND, DEVICES)
    assert connections == (CONNECTION._replace(state=""),)
    assert draw(connections)[0] == "10.1.1.2:40000 -> 10.99.0.1:443, state not visible"


def test_what_is_left_of_a_connection_that_is_over() -> None:
    closing = FIRST.replace("ESTAB", "CLOSING")
    assert closing != FIRST and read_connections(closing, DEVICES) == ()
    assert read_connections(SOCKET + closing, DEVICES) != ()


def test_a_connection_whose_subflows_are_not_shown() -> None:
    connections = read_connections(SOCKET, DEVICES)
    assert connections == (CONNECTION._replace(subflows=()),)
    assert draw(connections) == ["10.1.1.2:40000 -> 10.99.0.1:443, no subflow visible"]


@pytest.mark.parametrize("text", [
    FIRST.replace("tcp-ulp-mptcp", "tcp-ulp-tls"),
    FIRST.replace("ESTAB", "LISTEN").replace("10.99.0.1:443", "0.0.0.0:*"),
    SOCKET.replace("ESTAB", "LISTEN").replace("10.99.0.1:443", "[::]:*"),
    FIRST.replace("10.1.1.2:40000", "10.1.1.2"), FIRST.replace("10.1.1.2", "[10.1.1.2"),
    FIRST.replace("10.99.0.1:443", "10.99.0.1:https"), "\t token:c0ffee tcp-ulp-mptcp\n", "",
])
def test_what_is_no_connection(text: str) -> None:
    assert read_connections(text, DEVICES) == ()


@pytest.mark.parametrize("detail", [
    "rtt:x/y bytes_sent:-3 bytes_received:\N{SUPERSCRIPT TWO} flags: token:zz(id:0)/1(id:0)",
    "rtt: bytes_sent: token: flags", "rtt bytes_sent:1e9 token:1/2 token:",
    pytest.param(
        f"rtt:{MANY} bytes_sent:{MANY} bytes_received:{MANY} token:1(id:{MANY})/1(id:{MANY})",
        id="5000 digits"),
    pytest.param(f"rtt:1e999 token:1(id:0)/{MANY}(id:0)", id="5000 digits of a token"),
    "rtt:nan minrtt:nan", "rtt:inf minrtt:", "rtt:1e9 minrtt:1e9", "rtt:-1 retrans:1",
    "rtt:1_0 retrans:0/-1", "retrans:", "retrans:5/", "retrans:5/1_0",
])
def test_details_that_make_no_sense(detail: str) -> None:
    text = SOCKET + FIRST.splitlines()[0] + f"\n\t tcp-ulp-mptcp {detail}\n"
    (connection,) = read_connections(text, {})
    assert connection.subflows == (TWO_SUBFLOWS[0]._replace(
        interface="", identity=None, bytes_sent=0, rtt=None, retransmissions=0,
        lowest_rtt=None),)


@pytest.mark.parametrize(("address", "device"), [
    ("10.1.1.2", "eth0"), ("[::ffff:10.1.1.2]", "eth0"), ("[fd00:1::2]", "eth0"),
    ("[fe80::1]%eth7", "eth7"), ("10.1.1.2%ppp-1.2", "ppp-1.2"), ("10.1.1.3", ""), ("host", ""),
])
def test_the_device_of_a_subflow(address: str, device: str) -> None:
    text = FIRST.replace("10.1.1.2:", f"{address}:")
    ((subflow,),) = [connection.subflows for connection in
                     read_connections(text, DEVICES | {"fd00:1::2": "eth0"})]
    assert subflow.interface == device
    assert subflow.local == f"{address.partition('%')[0]}:40000"


@pytest.mark.parametrize(("timer", "unanswered"), [
    ("timer:(on,996ms,3) ", 3), ("timer:(keepalive,59sec,2) ", 0), ("timer:(on,1.2sec,0) ", 0),
    ("timer:(on,2min3sec,12) ", 12), ("timer:(persist,) ", 0), ("", 0),
    pytest.param(f"timer:(on,996ms,{MANY}) ", 0, id="5000 digits"),
])
def test_timeouts(timer: str, unanswered: int) -> None:
    ((subflow,),) = [connection.subflows for connection in
                     read_connections(FIRST.replace("ino:", timer + "ino:"), DEVICES)]
    assert subflow.unanswered == unanswered


def test_totals() -> None:
    other = CONNECTION._replace(subflows=(TWO_SUBFLOWS[1]._replace(bytes_sent=5),
                                          TWO_SUBFLOWS[0]._replace(interface="")))
    assert sum_interfaces((CONNECTION, other)) == (
        Total("eth0", 1, 1000, 0, 28, 0.5), Total("eth1", 2, 5, 4000, 0, None),
        Total("", 1, 1000, 0, 28, 0.5))


def test_many_connections_take_no_time() -> None:
    """A server's: a socket is not compared with each other one, which takes minutes."""
    count = 10_000
    text = "".join((SOCKET + FIRST + SECOND).replace("c0ffee", f"{number:x}").replace(
        "ino:77", f"ino:{number}") for number in range(1, count + 1))
    began = time.process_time()
    connections = read_connections(text, DEVICES)
    assert time.process_time() - began < 10
    assert len(connections) == count
    assert {len(connection.subflows) for connection in connections} == {2}


@pytest.mark.parametrize(("number", "text"), [
    (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_949, "99.9 kB"), (99_950, "100 kB"),
    (999_499, "999 kB"), (999_500, "1.0 MB"), (5_944_232, "5.9 MB"), (10 ** 12, "1.0 TB"),
    (2 ** 64 - 1, "18.4 EB"), (10 ** 22, "10000 EB"),
])
def test_bytes_for_people(number: int, text: str) -> None:
    assert format_bytes(number) == text


def test_colours_do_not_move_columns() -> None:
    pulled = CONNECTION._replace(state="CLOSE-WAIT", subflows=(
        TWO_SUBFLOWS[0], TWO_SUBFLOWS[1]._replace(state="SYN-SENT", unanswered=1)))
    coloured = draw((pulled,), Paint(True))
    assert "\x1b[32mESTAB\x1b[0m    " in coloured[1]
    assert "\x1b[33mSYN-SENT\x1b[0m" in coloured[2]
    assert coloured[2].endswith("\x1b[31mno answer to 1 retransmission\x1b[0m")
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in coloured] == draw((pulled,))


CURL, WORKER = Process(4711, "curl"), Process(4712, "worker")


@pytest.mark.parametrize(("holders", "words"), [
    ((), ""), ((CURL,), ", curl (4711)"), ((CURL, WORKER), ", curl (4711), worker (4712)"),
    ((CURL,) * 3 + (WORKER,) * 2, ", curl (4711), curl (4711), curl (4711) and 2 more"),
])
def test_the_processes_of_a_connection(holders: tuple[Process, ...], words: str) -> None:
    owners = {CONNECTION.inode: holders, 99: (WORKER,)}
    assert draw((CONNECTION,), owners=owners)[0] == "10.1.1.2:40000 -> 10.99.0.1:443" + words
    (described,) = describe_connections((CONNECTION,), (), owners)["connections"]
    assert described["processes"] == [
        {"pid": process.pid, "name": process.name} for process in holders]


def draw(
    connections: tuple[Connection, ...], paint: Paint = Paint(False), owners: Owners = {}
) -> list[str]:
    return draw_connections(connections, owners, paint)


@pytest.mark.parametrize(("interfaces", "addresses", "left"), [
    ({"eth1"}, set(), ["eth1"]), ({"eth0:1"}, {"10.1.1.2"}, ["eth0"]), ({"lo"}, set(), []),
    ({"eth0", "eth1"}, set(), ["eth0", "eth1"])])
def test_what_is_not_over_the_interfaces_asked_for_is_left_out(
    interfaces: set[str], addresses: set[str], left: list[str]
) -> None:
    chosen = choose_subflows((CONNECTION,), frozenset(interfaces), frozenset(addresses))
    assert [subflow.interface for one in chosen for subflow in one.subflows] == left
    assert len(chosen) == bool(left)


@pytest.mark.parametrize(("width", "line"), [
    (None, "eth0 10.1.1.2:40000 -> 10.99.0.1:443 ESTAB        sent 1.0 kB received    0 B"
           " rtt 3.5 ms lowest 0.50 ms resent 28"),
    (100, "eth0 10.1.1.2:40000 -> 10.99.0.1:443        sent 1.0 kB received    0 B"
          " rtt 3.5 ms resent 28"),
    (80, "eth0 10.1.1.2:40000 -> 10.99.0.1:443        sent 1.0 kB received    0 B"),
    (62, "eth0 10.1.1.… -> 10.99.0…        sent 1.0 kB received    0 B"),
])
def test_states_that_are_well_go_first_and_addresses_are_cut_last(
    width: int | None, line: str
) -> None:
    rows = draw((CONNECTION,), Paint(False, unicode=True, width=width))
    assert rows[-2] == f"  {line}"
    assert all(len(row) <= (width or 200) for row in rows)
