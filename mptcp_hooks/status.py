"""mptcp_status(8): whether multipath works here, and if not, what to do."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from mptcp_hooks import __version__

PROGRAM = "mptcp_status"


def run_mptcp_status() -> int:
    """Exit status of mptcp_status(8): 0 all good, 1 a path is broken, 2 wrong usage."""
    _read_arguments()
    return 0


def _read_arguments() -> Namespace:
    parser = ArgumentParser(PROGRAM, allow_abbrev=False, description="Draw the paths of Multipath "
                            "TCP, and say what is wrong with them and what to do.")
    parser.add_argument("interfaces", nargs="*", metavar="IFACE",
                        help="an interface; without any, all of them")
    parser.add_argument("-c", "--connections", action="store_true",
                        help="show the live MPTCP connections and their subflows")
    parser.add_argument("-j", "--json", action="store_true", help="answer in JSON")
    parser.add_argument("-w", "--watch", action="store_true",
                        help="draw again every second, with rates, until interrupted")
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    return parser.parse_args()
