# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether and how a program can be made to use Multipath TCP."""
