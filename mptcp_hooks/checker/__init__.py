"""mptcp_check: what asks whether paths work, where the administrator wants that."""
