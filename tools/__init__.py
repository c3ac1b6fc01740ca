"""Programs for the developers of lmkd_py; none of them goes to a device."""
