"""mptcp_run: has commands and services use Multipath TCP."""
