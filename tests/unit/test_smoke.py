def test_import(): import mptcp_hooks.work
