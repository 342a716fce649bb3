"""mptcp_monitor: what keeps true what the hooks made."""
