"""What is wanted: what managers, DHCP clients and people say, as checked values."""
