"""mptcp_up and mptcp_down, for people."""
