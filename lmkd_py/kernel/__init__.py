"""Linux as it is: one thin function a syscall, pinned readers, triggers, memory domains. No policy."""
