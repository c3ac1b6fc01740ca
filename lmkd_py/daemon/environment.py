"""What every Python of ours is started with."""

from __future__ import annotations

import os

PACKAGE_PARENT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Every function is bound at the start: no first call on the kill path looks symbols up (see kernel/resident.py).
ENVIRONMENT = {"LC_ALL": "C", "LD_BIND_NOW": "1"}
