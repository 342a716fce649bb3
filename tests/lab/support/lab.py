# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts on one machine: a client with two uplinks, two routers, a server.

            10.1.1.0/24             10.8.1.0/24
          .---- router1 (50 Mbit/s) ----.
    client                               server 10.99.0.1, fd00:99::1
          `---- router2 (50 Mbit/s) ----'
            10.1.2.0/24             10.8.2.0/24

Each host is a network, a mount and a host name namespace, held by one process
and gone with it. The client has its own /etc, /usr, /var, /run and /sys, laid
over the machine's, in which the package is really installed; nothing of it
reaches the machine. Routers can have the same, for the programs they serve
with. They drop what does not come from their own subnet, as providers do: wrong
routing shows.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

SERVER_4 = "10.99.0.1"
SERVER_6 = "fd00:99::1"
TWO_UPLINKS = """\
auto eth0 eth1
iface eth0 inet static
    address 10.1.1.2/24
    gateway 10.1.1.1
iface eth1 inet static
    address 10.1.2.2/24
    mptcp-gateway 10.1.2.1
"""
TWO_UPLINKS_6 = """\
auto eth0 eth1
iface eth0 inet6 static
    address fd00:1::2/64
    gateway fd00:1::1
    dad-attempts 0
iface eth1 inet6 static
    address fd00:2::2/64
    mptcp-gateway fd00:2::1
    dad-attempts 0
"""
# What a command of a user without any rights begins with.
NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
LAID_OVER = ("etc", "usr", "var")
_OPAQUE = "trusted.overlay.opaque"
# What takes so many seconds hangs: an emulated machine that is busy installs a package in minutes.
_ENDLESS = 300

# Started as `python3 TRANSFER MODE ...`, see there.
TRANSFER = str(Path(__file__).with_name("transfer.py"))
_UNSHARE = ("unshare", "--net", "--mount", "--uts", "--propagation", "private", "--fork",
            "--kill-child", "--")


class Host:
    """One host; `layers` are folders with etc/, usr/ and var/ that lie over the machine's.

    With layers, `scratch` takes what the host itself writes there.
    """

    def __init__(self, scratch: Path, layers: tuple[Path, ...] | None = None) -> None:
        script = ["mount -t sysfs sysfs /sys", "ip link set lo up"]
        if layers is not None:
            script += [overlay(scratch, layers, name) for name in LAID_OVER]
            script += ["mount -t tmpfs -o mode=755 tmpfs /run", "mkdir /run/network"]
        script += ["echo ready", "exec sleep infinity"]
        self._holder = subprocess.Popen(
            [*_UNSHARE, "sh", "-ec", "\n".join(script)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n", self._holder.communicate()
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        self.pid = int(children.read_text().split()[0])
        self._started: list[subprocess.Popen[str]] = []

    def close(self) -> None:
        while running := self._find_processes():
            for pid in running:
                end_process(pid)
        for process in self._started:
            process.communicate()
        self._holder.kill()
        self._holder.communicate()

    def _find_processes(self) -> list[int]:
        """What runs here, daemons in the background too: they would outlive the host."""
        return [pid for pid in find_processes(network_of(self.pid))
                if pid not in (self.pid, self._holder.pid)]

    @property
    def entrance(self) -> tuple[str, ...]:
        """The command that runs another one here, or a shell."""
        return ("/usr/bin/nsenter", "-t", str(self.pid), "-n", "-m", "-u")

    def _enter(self, arguments: tuple[str, ...]) -> list[str]:
        return [*self.entrance, "--", *arguments]

    def try_run(
        self, *arguments: str, text: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, whatever that is."""
        return subprocess.run(self._enter(arguments), input=text, capture_output=True, text=True,
                              timeout=_ENDLESS, env=env)

    def run(self, *arguments: str, text: str = "", env: dict[str, str] | None = None) -> str:
        """Run a program that must succeed; what it printed."""
        done = self.try_run(*arguments, text=text, env=env)
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a program; it ends with the host at the latest."""
        process = subprocess.Popen(self._enter(arguments), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._started.append(process)
        return process

    def ip(self, *lines: str) -> None:
        """Run `ip` commands; -4 or -6 may stand first."""
        for option in ("-4", "-6"):
            text = "\n".join(line.removeprefix(option + " ") for line in lines
                             if line.startswith("-6 ") == (option == "-6"))
            if text:
                self.run("ip", option, "-batch", "-", text=text + "\n")

    def ask(self, *arguments: str) -> list[dict[str, Any]]:
        """What `ip -j` answers; a table that was never used answers nothing."""
        done = self.try_run("ip", "-j", *arguments)
        answer: list[dict[str, Any]] = json.loads(done.stdout) if done.returncode == 0 else []
        return [row for row in answer if row]


class LoneHost(Host):
    """A host without any link, which takes care of its scratch itself."""

    def __init__(self, layers: tuple[Path, ...]) -> None:
        self.scratch = make_scratch()
        super().__init__(self.scratch, layers)

    @property
    def hosts(self) -> dict[str, Host]:
        return {"host": self}

    def close(self) -> None:
        super().close()
        self.leave()

    def leave(self) -> None:
        """Let it go on without us, to be removed by remove_host of keeping.py."""
        remove_scratch(self.scratch)


def network_of(pid: int) -> str:
    """A name for the network namespace of a process, '' when that is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return ""


def find_processes(network: str) -> list[int]:
    """The processes in a network namespace, which is not ours; none where it has no name."""
    assert network != network_of(os.getpid())
    pids = (int(entry.name) for entry in Path("/proc").glob("[0-9]*"))
    return [pid for pid in pids if network and network_of(pid) == network]


def end_process(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def is_gone(pid: int) -> bool:
    """Whether a process has ended; it may still wait for somebody to ask how."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or ") Z " in stat.read_text()


def overlay(scratch: Path, layers: tuple[Path, ...], name: str) -> str:
    """The command that lays the layers' /<name> over the machine's, what is written to scratch."""
    upper, work = scratch / "upper" / name, scratch / "work" / name
    upper.mkdir(parents=True)
    work.mkdir(parents=True)
    lower = ":".join([*(str(layer / name) for layer in layers), f"/{name}"])
    return (f"mount -t overlay overlay -o lowerdir={lower},upperdir={upper},workdir={work} "
            f"/{name}")


class Installation:
    """The package, installed by dpkg into layers that clients lie over the machine."""

    def __init__(self, deb: Path) -> None:
        self.scratch = make_scratch()
        host = Host(self.scratch, ())
        try:
            spare_manual_index(host)
            host.run("dpkg", "-i", str(deb))
        finally:
            host.close()
        self.layer = open_layer(self.scratch)

    def close(self) -> None:
        remove_scratch(self.scratch)


class OnMachine:
    """The package as it is installed on the machine: a layer that adds nothing."""

    def __init__(self) -> None:
        self.scratch = make_scratch()
        self.layer = self.scratch / "upper"
        for name in LAID_OVER:
            (self.layer / name).mkdir(parents=True)

    def close(self) -> None:
        remove_scratch(self.scratch)


def spare_manual_index(host: Host) -> None:
    """Have dpkg not index all manual pages there are, which takes longer than all else it does."""
    host.run("rm", "-f", "/var/lib/man-db/auto-update")


class Lab:
    """The four hosts, wired up; the client's uplinks have no address yet.

    `layers` lie over the client's machine: an Installation's, on top of that of Programs; or
    none. `router_layers` lie over that of each router, `server_layers` over the server's, which
    without them is the machine itself. The client and the server may be hosts of another kind.
    """

    def __init__(self, layers: tuple[Path, ...], rate: str = "50mbit",
                 router_layers: tuple[Path, ...] | None = None,
                 server_layers: tuple[Path, ...] | None = None,
                 client: type[Host] = Host, server: type[Host] = Host) -> None:
        self.uplinks = ("eth0", "eth1")
        self.scratch = make_scratch()
        try:
            self.client = client(self.scratch / "client", layers)
            self.server = server(self.scratch / "server", server_layers)
        except BaseException:
            remove_scratch(self.scratch)
            raise
        self.routers = (Host(self.scratch / "router1", router_layers),
                        Host(self.scratch / "router2", router_layers))
        # A host whose own fe80 address is still tentative cannot ask for a neighbour's, and a
        # packet to forward then waits a second; the client alone has to detect duplicates.
        for host in (*self.routers, self.server):
            host.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0",
                     # A router whose cable is pulled is a router still.
                     "net.ipv6.conf.all.keep_addr_on_down=1")
        for number, router in enumerate(self.routers, start=1):
            self._wire(number, router, rate)
        self.server.ip(f"addr add {SERVER_4}/32 dev lo", f"-6 addr add {SERVER_6}/128 dev lo")
        self.write("/etc/network/interfaces", "")

    @property
    def hosts(self) -> dict[str, Host]:
        """All of them, by their names."""
        return {"client": self.client, "router1": self.routers[0], "router2": self.routers[1],
                "server": self.server}

    def close(self) -> None:
        for host in self.hosts.values():
            host.close()
        self.leave()

    def leave(self) -> None:
        """Let the hosts go on without us, to be removed by remove_host of keeping.py."""
        # They have mounts of their own of what is in it.
        remove_scratch(self.scratch)

    def write(self, path: str, text: str) -> None:
        """Write a file of the client's."""
        self.client.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1"', "sh", path,
                        text=text)

    def read(self, path: str) -> str:
        return self.client.run("cat", path)

    def set_interfaces(self, text: str) -> None:
        """Write the client's /etc/network/interfaces."""
        self.write("/etc/network/interfaces", text)

    def ifup(self, *arguments: str) -> str:
        """Run the real ifup, which must succeed; what it said on stderr."""
        return self._run_ifupdown("ifup", *arguments)

    def ifdown(self, *arguments: str) -> str:
        return self._run_ifupdown("ifdown", *arguments)

    def _run_ifupdown(self, *arguments: str) -> str:
        done = self.client.try_run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stderr}"
        return done.stderr

    def run_hook(
        self, folder: str, environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run our hook in /etc/network/<folder> with exactly this environment."""
        name = "mptcp_up" if folder == "if-up.d" else "mptcp_down"
        return self.client.try_run(f"/etc/network/{folder}/{name}", env=environment)

    def ifindex(self, device: str) -> int:
        return int(self.client.run("cat", f"/sys/class/net/{device}/ifindex"))

    def rules(self, family: int = 4) -> list[str]:
        """The rules of the client but the kernel's three, as `ip rule` prints them."""
        lines = self.client.run("ip", f"-{family}", "rule").replace("\t", " ").splitlines()
        kernel = ("lookup local", "lookup main", "lookup default")
        return [line.strip() for line in lines
                if not (line.strip().endswith(kernel) and "from all lookup" in line)]

    def table(self, number: int, family: int = 4) -> list[str]:
        done = self.client.try_run("ip", f"-{family}", "route", "show", "table", str(number))
        return sorted(line.strip() for line in done.stdout.splitlines())

    def endpoints(self) -> list[str]:
        """The endpoints as `ADDRESS DEVICE FLAG...`."""
        flags = ("subflow", "signal", "backup", "fullmesh")
        return sorted(" ".join([row["address"], row.get("dev", "-"),
                                *(flag for flag in flags if row.get(flag))])
                      for row in self.client.ask("mptcp", "endpoint"))

    def limits(self) -> str:
        return self.client.run("ip", "mptcp", "limits").strip()

    def snapshot(self) -> str:
        """All that we could have changed, as text: rules, our routes, endpoints, limits."""
        routes = [line for family in (4, 6)
                  for line in self.client.run("ip", f"-{family}", "route", "show", "table",
                                              "all").splitlines()
                  if "proto mptcp" in line]
        parts = [*sorted(self.rules(4)), *sorted(self.rules(6)), *sorted(routes), *self.endpoints(),
                 self.limits()]
        return "\n".join(parts)

    def begin_receiving(self, server: str = SERVER_4) -> subprocess.Popen[str]:
        """Have the server take one MPTCP connection on port 5001, and answer with size and hash."""
        receiver = self.server.start(sys.executable, TRANSFER, "serve", server, "5001")
        assert receiver.stdout is not None
        assert receiver.stdout.readline() == "listening\n", receiver.communicate()
        return receiver

    def begin_transfer(self, size: int, server: str = SERVER_4) -> Transfer:
        """Start sending `size` bytes from the client to the server over MPTCP."""
        return Transfer(self, size, server)

    def transfer(self, size: int, server: str = SERVER_4) -> Sent:
        return self.begin_transfer(size, server).finish()

    def count_carried(self) -> tuple[int, int]:
        """The bytes that each uplink carried so far, either way."""
        first, second = (sum(int(self.client.run(
            "cat", f"/sys/class/net/{name}/statistics/{way}_bytes")) for way in ("tx", "rx"))
            for name in self.uplinks)
        return first, second

    def count_sent(self) -> tuple[int, int]:
        """The bytes that left the client so far by each uplink."""
        first, second = (self.client.try_run("cat", f"/sys/class/net/{name}/statistics/tx_bytes")
                         for name in self.uplinks)
        # A device that was pulled out has no file any more.
        return int(first.stdout or 0), int(second.stdout or 0)

    def _wire(self, number: int, router: Host, rate: str) -> None:
        uplink = f"eth{number - 1}"
        shaped = f"root tbf rate {rate} burst 64kbit latency 30ms"
        router.ip(
            # A pair whose ends have one index, each in its namespace, is hardware to the kernel's
            # link watch, which tells of that once a second at most (net/core/link_watch.c).
            f"link add lan index 100 type veth peer name {uplink} netns {self.client.pid}",
            f"link add wan index 101 type veth peer name wan{number} netns {self.server.pid}",
            "link set lan up", "link set wan up",
            f"addr add 10.1.{number}.1/24 dev lan", f"addr add 10.8.{number}.1/24 dev wan",
            f"route add {SERVER_4} via 10.8.{number}.2",
            f"rule add pref 10 iif lan from 10.1.{number}.0/24 lookup main",
            "rule add pref 11 iif lan blackhole",
            f"-6 addr add fd00:{number}::1/64 dev lan nodad",
            f"-6 addr add fd00:8:{number}::1/64 dev wan nodad",
            f"-6 route add {SERVER_6} via fd00:8:{number}::2",
            f"-6 rule add pref 10 iif lan from fd00:{number}::/64 lookup main",
            "-6 rule add pref 11 iif lan from fe80::/10 lookup main",
            "-6 rule add pref 12 iif lan blackhole",
        )
        self.server.ip(
            f"link set wan{number} up",
            f"addr add 10.8.{number}.2/24 dev wan{number}",
            f"route add 10.1.{number}.0/24 via 10.8.{number}.1",
            f"-6 addr add fd00:8:{number}::2/64 dev wan{number} nodad",
            f"-6 route add fd00:{number}::/64 via fd00:8:{number}::1",
        )
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for device in ("lan", "wan"):
            router.run("tc", "qdisc", "add", "dev", device, *shaped.split())


class Sent(NamedTuple):
    """How a transfer went: bytes, seconds, whether the receiver has the same, bytes an uplink."""

    size: int
    seconds: float
    whole: bool
    uplinks: tuple[int, int]

    @property
    def rate(self) -> float:
        """In Mbit/s."""
        return self.size * 8 / self.seconds / 1e6


class Transfer:
    """One transfer under way."""

    def __init__(self, lab: Lab, size: int, server: str) -> None:
        self._lab = lab
        lab.begin_receiving(server)
        self._before = lab.count_sent()
        self._sender = lab.client.start(sys.executable, TRANSFER, "send", server, "5001",
                                        str(size))

    def count_sent(self) -> tuple[int, int]:
        """The bytes that left the client by each uplink since it began."""
        first, second = (now - then for now, then in zip(self._lab.count_sent(), self._before))
        return first, second

    def finish(self) -> Sent:
        """Wait for the end of it; 150 s at most, as the kernel may have to do without a subflow."""
        output, errors = self._sender.communicate(timeout=150)
        assert self._sender.returncode == 0, errors
        answer = json.loads(output)
        return Sent(answer["bytes"], answer["seconds"], answer["whole"], self.count_sent())


def make_scratch() -> Path:
    """A folder on a memory file system of its own, which can lie over others."""
    scratch = Path(tempfile.mkdtemp(prefix="mptcp-hooks-lab-"))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", scratch], check=True)
    return scratch


def open_layer(scratch: Path) -> Path:
    """What a host wrote, as a layer through which others show, in folders that are new too.

    The kernel marks those opaque, though nothing of the machine is below them.
    """
    layer = scratch / "upper"
    for folder, _, _ in os.walk(layer):
        new = not Path("/", Path(folder).relative_to(layer)).exists()
        if new and _OPAQUE in os.listxattr(folder, follow_symlinks=False):
            os.removexattr(folder, _OPAQUE)
    return layer


def remove_scratch(scratch: Path) -> None:
    subprocess.run(["umount", "--lazy", scratch], check=True)
    shutil.rmtree(scratch, ignore_errors=True)


def find_obstacles() -> str:
    """Why this machine cannot hold the lab, '' where it can."""
    if os.geteuid() != 0:
        return "not root"
    if not Path("/proc/sys/net/mptcp/enabled").exists():
        return "this kernel has no MPTCP"
    if "overlay" not in Path("/proc/filesystems").read_text():
        # A module is loaded by the first mount; only a try can tell.
        subprocess.run(["modprobe", "overlay"], capture_output=True)
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "this kernel has no overlay file system"
    if subprocess.run([*_UNSHARE, "true"], capture_output=True).returncode:
        return "no namespaces here"
    return ""


def begin_run() -> None:
    """Make this process fit for hosts.

    SIGTERM is an exception from now on, so that hosts are closed on the way out, and
    hosts find programs where root does.
    """
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    # Whatever PATH the run was started with.
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
