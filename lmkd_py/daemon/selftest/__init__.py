"""`lmkd-py selftest`: the memory guarantee shown on the machine at hand, in a memory cgroup of its own.

A program for people, not a part of the armed daemon: it starts the daemon as one does, puts it under real pressure and
counts from outside what its killer makes the kernel do.
"""
