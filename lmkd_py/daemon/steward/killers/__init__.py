"""Forking, replacing and ending killers, and the strike in the kernel that stands behind them."""
