"""lmkd_py: a low-memory killer for Android devices and ARM Linux boards, and the host tool around it."""

__version__ = "0.1.0"
