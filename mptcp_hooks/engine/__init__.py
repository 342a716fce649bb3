# SPDX-License-Identifier: GPL-2.0-or-later
"""From what is wanted to what is done: plan, commands, record, and the work between them."""
