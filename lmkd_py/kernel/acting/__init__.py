"""System calls, signals and waiting: how we make the kernel do something."""
