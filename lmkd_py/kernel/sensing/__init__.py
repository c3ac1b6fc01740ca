"""What is read from the kernel: counters, memory domains, triggers, process events."""
