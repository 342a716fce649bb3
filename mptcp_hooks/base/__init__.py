# SPDX-License-Identifier: GPL-2.0-or-later
"""What all floors stand on: values, addresses, files, text; without a machine behind them."""
