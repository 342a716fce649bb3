# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wanted: what managers, DHCP clients and people say, as checked values."""
