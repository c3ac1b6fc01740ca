"""The daemon: a steward that may block and a killer that never does (design: two processes)."""
