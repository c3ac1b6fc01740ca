"""Virtual ARM boards: a real arm64 kernel and userland under QEMU, without KVM and without root."""
