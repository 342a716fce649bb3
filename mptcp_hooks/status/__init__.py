"""mptcp_status: looks, judges and draws; changes nothing."""
