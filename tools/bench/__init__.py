"""The bench: `python -m tools.bench` measures the daemon beside a C loop and Debian's earlyoom and nohang."""
