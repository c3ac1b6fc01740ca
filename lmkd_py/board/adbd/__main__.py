"""`python -m lmkd_py.board.adbd --port P --root DIR`: one device, or --count of them, until SIGTERM."""

from __future__ import annotations

from .program import main

main()
