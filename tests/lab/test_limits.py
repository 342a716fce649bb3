"""The path manager's limits and its eight slots."""

from __future__ import annotations

from tests.lab.support.lab import Lab


def hook(lab: Lab, folder: str, number: int, **options: str) -> str:
    done = lab.run_hook(folder, {
        "IFACE": f"up{number}", "ADDRFAM": "inet", "METHOD": "static",
        "IF_ADDRESS": f"10.20.{number}.2", "IF_NETMASK": "24",
        "IF_GATEWAY": f"10.20.{number}.1", **options})
    assert done.returncode == 0
    return done.stderr


def make_uplinks(lab: Lab, count: int) -> None:
    for number in range(count):
        lab.client.ip(f"link add up{number} type veth peer name peer{number}",
                      f"link set up{number} up", f"addr add 10.20.{number}.2/24 dev up{number}")


def test_limits_follow_the_endpoints_and_go_back_with_the_last(lab: Lab) -> None:
    make_uplinks(lab, 3)
    assert lab.limits() == "add_addr_accepted 0 subflows 2"
    seen = []
    for number in range(3):
        assert hook(lab, "if-up.d", number) == ""
        seen.append(lab.limits())
    assert seen == ["add_addr_accepted 1 subflows 2", "add_addr_accepted 2 subflows 2",
                    "add_addr_accepted 3 subflows 3"]
    for number in (0, 1):
        hook(lab, "if-down.d", number)
    assert lab.limits() == "add_addr_accepted 3 subflows 3"
    hook(lab, "if-down.d", 2)
    assert lab.limits() == "add_addr_accepted 0 subflows 2"


def test_a_limit_that_somebody_set_meanwhile_stays(lab: Lab) -> None:
    make_uplinks(lab, 2)
    hook(lab, "if-up.d", 0)
    lab.client.ip("mptcp limits set subflows 7 add_addr_accepted 1")
    hook(lab, "if-up.d", 1)
    assert lab.limits() == "add_addr_accepted 2 subflows 7"
    hook(lab, "if-post-down.d", 0)
    hook(lab, "if-post-down.d", 1)
    assert lab.limits() == "add_addr_accepted 0 subflows 7"


def test_fullmesh_takes_all_there_is(lab: Lab) -> None:
    make_uplinks(lab, 1)
    hook(lab, "if-up.d", 0, IF_MPTCP_FLAGS="subflow fullmesh")
    assert lab.limits() == "add_addr_accepted 8 subflows 8"


def test_the_ninth_endpoint_is_one_warning_and_routing_all_the_same(lab: Lab) -> None:
    make_uplinks(lab, 9)
    for number in range(8):
        assert hook(lab, "if-up.d", number) == ""
    said = hook(lab, "if-up.d", 8)
    assert said == (
        "mptcp_up: up8: no endpoint for 10.20.8.2, routing only: the kernel's 8 are taken by "
        + ", ".join(f"10.20.{number}.2" for number in range(8)) + "\n")
    assert len(lab.endpoints()) == 8
    assert len([rule for rule in lab.rules() if "10.20.8.2" in rule]) == 3
    assert lab.limits() == "add_addr_accepted 8 subflows 8"
    hook(lab, "if-post-down.d", 0)
    assert hook(lab, "if-up.d", 8) == ""
    assert "10.20.8.2 up8 subflow" in lab.endpoints()
