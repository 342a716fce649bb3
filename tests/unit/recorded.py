# SPDX-License-Identifier: GPL-2.0-or-later
"""The environments that real network managers passed to their hooks."""

from __future__ import annotations

from pathlib import Path

ENVIRONMENTS = Path(__file__).parents[1] / "environments"

Saying = tuple[str, list[str], int, tuple[str, ...]]

# What each one of if-up.d says, read by eye from the recordings: interface, addresses with their
# gateways, table, flags.
SAYS: dict[str, Saying | None] = {
    "ifupdown-ng/dual-static/if-up.d.env":
        ("eth0", ["10.0.0.2/24 10.0.0.1", "fd00:a::2/64 fd00:a::1"], 101, ()),
    "ifupdown-ng/static-cidr/if-up.d.env":
        ("eth0", ["10.0.0.2/24 10.0.0.1"], 101, ("subflow", "backup")),
    "ifupdown-trixie/dhcp-dhcpcd/if-up.d.env": ("eth0", [], 101, ()),
    "ifupdown/alias/if-up.d.02.eth0.inet.env": ("eth0", ["10.0.0.2/24"], 0, ()),
    "ifupdown/alias/if-up.d.04.eth0:1.inet.env": ("eth0:1", ["10.0.0.3/24"], 0, ()),
    "ifupdown/alias/if-up.d.06.eth0:1.inet6.env": ("eth0:1", ["fd00:a::3/64"], 0, ()),
    "ifupdown/alias/if-up.d.12.eth0:1.inet.env": ("eth0:1", ["10.0.0.3/24"], 0, ()),
    "ifupdown/alias/if-up.d.14.eth0:1.inet6.env": ("eth0:1", ["fd00:a::3/64"], 0, ()),
    "ifupdown/dhcp-dhclient/if-up.d.env": ("eth0", [], 101, ("subflow",)),
    "ifupdown/dual-static/if-up.d.02.eth0.inet.env":
        ("eth0", ["10.0.0.2/24 10.0.0.1"], 101, ()),
    "ifupdown/dual-static/if-up.d.04.eth0.inet6.env":
        ("eth0", ["fd00:a::2/64 fd00:a::1"], 0, ()),
    "ifupdown/ifup-all/if-up.d.03.lo.inet.env": None,
    "ifupdown/ifup-all/if-up.d.05.eth0.inet.env": ("eth0", ["10.0.0.2/24"], 101, ()),
    "ifupdown/ifup-all/if-up.d.07.eth1.inet.env": ("eth1", ["10.1.0.2/24"], 0, ()),
    "ifupdown/ifup-all/if-up.d.09.eth1.inet6.env": ("eth1", ["fd00:b::2/64"], 0, ()),
    "ifupdown/ifup-all/if-up.d.10.--all.meta.env": None,
    "ifupdown/inet6-auto/if-up.d.env": ("eth0", [], 101, ()),
    "ifupdown/inet6-dhcp/if-up.d.env": ("eth0", [], 101, ()),
    "ifupdown/inet6-static/if-up.d.env": ("eth0", ["fd00:a::2/64 fd00:a::1"], 101, ()),
    "ifupdown/loopback/if-up.d.env": None,
    "ifupdown/manual/if-up.d.02.eth0.inet.env": ("eth0", [], 101, ()),
    "ifupdown/manual/if-up.d.04.eth1.inet6.env": ("eth1", [], 102, ()),
    "ifupdown/multi-stanza/if-up.d.02.eth0.inet.env":
        ("eth0", ["10.0.0.2/24 10.0.0.1"], 101, ()),
    "ifupdown/multi-stanza/if-up.d.04.eth0.inet.env": ("eth0", ["10.0.0.3/24"], 0, ()),
    "ifupdown/multi-stanza/if-up.d.06.eth0.inet.env": ("eth0", ["10.9.0.3/24"], 103, ()),
    "ifupdown/static-cidr/if-up.d.env":
        ("eth0", ["10.0.0.2/24 10.0.0.1"], 101, ("subflow", "backup")),
    "ifupdown/static-netmask/if-up.d.02.eth0.inet.env":
        ("eth0", ["10.0.0.2/24 10.0.0.1"], 0, ()),
    "ifupdown/static-netmask/if-up.d.04.eth1.inet.env": ("eth1", ["10.1.0.2/24"], 0, ()),
    "ifupdown/two-dhcp/if-up.d.03.lo.inet.env": None,
    "ifupdown/two-dhcp/if-up.d.05.eth0.inet.env": ("eth0", [], 0, ()),
    "ifupdown/two-dhcp/if-up.d.07.eth1.inet.env": ("eth1", [], 0, ()),
    "ifupdown/two-dhcp/if-up.d.08.--all.meta.env": None,
    "ifupdown/two-dhcp/if-up.d.19.lo.inet.env": None,
    "ifupdown/two-dhcp/if-up.d.21.eth0.inet.env": ("eth0", [], 0, ()),
    "ifupdown/two-dhcp/if-up.d.23.eth1.inet.env": ("eth1", [], 0, ()),
    "ifupdown/two-dhcp/if-up.d.24.--all.meta.env": None,
    "ifupdown2/dual-dhcp-auto/if-up.d.env": ("eth0", [], 0, ()),
    "ifupdown2/dual-static/if-up.d.env": ("eth0", ["10.0.0.2/24 10.0.0.1"], 101, ()),
    "ifupdown2/static-cidr/if-up.d.env":
        ("eth0", ["10.0.0.2/24 10.0.0.1"], 101, ("subflow", "backup")),
    "nm/nm/if-up.d.01.lo.inet.env": None,
    "nm/nm/if-up.d.02.eth0.inet.env": ("eth0", ["10.0.0.59/24 10.0.0.1"], 0, ()),
    "nm/nm/if-up.d.03.eth0.inet6.env": ("eth0", ["fe80::61bf:b2f8:e8fc:b2b9/64"], 0, ()),
    "nm/nm/if-up.d.05.eth1.inet.env":
        ("eth1", ["10.1.0.2/24 10.1.0.1", "10.1.0.3/24 10.1.0.1"], 0, ()),
    "nm/nm/if-up.d.06.eth1.inet6.env":
        ("eth1", ["fd00:b::2/64 fd00:b::1", "fe80::118f:219d:6b88:f23b/64 fd00:b::1"], 0, ()),
    "nm/nm/if-up.d.08.eth0.inet.env": ("eth0", ["10.0.0.59/24 10.0.0.1"], 0, ()),
    "nm/nm/if-up.d.09.eth0.inet6.env": ("eth0", ["fe80::61bf:b2f8:e8fc:b2b9/64"], 0, ()),
}
# Those whose flags are refused.
WRONG_FLAGS = {f"{manager}/repeat-options/if-up.d.env"
               for manager in ("ifupdown", "ifupdown2", "ifupdown-ng")}


def read_environment(path: Path) -> dict[str, str]:
    """One recorded environment; a newline inside a value is written \\n."""
    pairs = (line.split("=", 1) for line in path.read_text().splitlines())
    return {name: value.replace("\\n", "\n") for name, value in pairs}


def list_environments(folder: str) -> list[Path]:
    """All that were passed to hooks in one folder, as if-up.d."""
    return sorted(ENVIRONMENTS.rglob(f"{folder}*.env"))
