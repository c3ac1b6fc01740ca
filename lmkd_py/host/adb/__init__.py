"""ADB: to a device directly (adb-shell) or through a running adb server; a link opens streams to services."""
