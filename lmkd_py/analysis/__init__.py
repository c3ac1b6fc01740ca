"""Traces without a board: reading, replay, explanation."""
