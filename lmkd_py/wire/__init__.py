"""Bytes as proto/ says, with the standard library only: ring records, trace frames, config files."""
