# SPDX-License-Identifier: GPL-2.0-or-later
"""Where stanzas and their options stand in ifupdown's files."""

from __future__ import annotations

from pathlib import Path

from mptcp_hooks.intent.stanza_lines import list_stanza_lines

TEXT = """\
# iface no inet static
auto eth0
iface eth0 inet static
    address 10.1.1.2/24
    mptcp-flags subflow \\
        backup
    # mptcp-table 7

    Mptcp_Table  0
allow-hotplug eth1
    mptcp-table 1
iface eth1 inet dhcp
source more/*.conf
    mptcp-table 2
mapping eth2
    mptcp-table 3
source-directory folder
source nowhere
"""


def test_every_line_of_a_stanza_is_known_with_its_file_and_number(tmp_path: Path) -> None:
    main, more, folder = tmp_path / "interfaces", tmp_path / "more", tmp_path / "folder"
    more.mkdir()
    folder.mkdir()
    main.write_text(TEXT)
    # It brings itself in, which ends.
    (more / "a.conf").write_text("iface wwan0 inet ppp\nmptcp off\nsource ../interfaces\n")
    (more / "b.no").write_text("iface no inet ppp\n")
    (folder / "usb0").write_text("iface usb0 inet manual\n\tmptcp yes")
    (folder / "usb0.no").write_text("iface no inet manual\n")
    lines = [(Path(one.file).name, *one[1:]) for one in list_stanza_lines(str(main))]
    assert lines == [
        ("interfaces", 3, "eth0", "", "inet static"),
        ("interfaces", 4, "eth0", "address", "10.1.1.2/24"),
        ("interfaces", 5, "eth0", "mptcp-flags", "subflow backup"),
        ("interfaces", 9, "eth0", "mptcp-table", "0"),
        ("interfaces", 12, "eth1", "", "inet dhcp"),
        ("a.conf", 1, "wwan0", "", "inet ppp"),
        ("a.conf", 2, "wwan0", "mptcp", "off"),
        ("usb0", 1, "usb0", "", "inet manual"),
        ("usb0", 2, "usb0", "mptcp", "yes"),
    ]


def test_a_file_that_is_not_there_has_no_stanzas(tmp_path: Path) -> None:
    assert list_stanza_lines(str(tmp_path / "interfaces")) == []
