"""Boards without hardware, made on this machine."""
