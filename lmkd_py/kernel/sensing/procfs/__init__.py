"""Readers of kernel text files. Each pins its file, learns its layout once and then parses integers in place.

Every reader has read() -> bytes read or a negative errno, and `values`; a value that is not there is ABSENT.
Constructors raise OSError (file) or ValueError (file, line, item); read() never raises.
"""
