"""Calm work: discovery, registration, the killer's keeper, the trace file, the control socket."""
