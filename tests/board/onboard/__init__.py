"""Programs that tests run on an emulated board: Python 3.11, the payload, the standard library."""
