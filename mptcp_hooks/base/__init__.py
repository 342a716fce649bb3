"""What all floors stand on: values, addresses, files, text; without a machine behind them."""
