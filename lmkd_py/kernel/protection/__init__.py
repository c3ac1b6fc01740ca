"""Our own memory and place: locked, reserved, under no limit."""
