"""Replay recorded decisions of AOSP's lmkd through the real policy and say where they agree.

    python tools/check_oracle.py FILE... [--compat aosp|improved]

Every scenario runs in a simulated machine (tools/oracle) around judge(), conclude(), may_follow() and the polling
functions; each evaluation's time, source, outcome, waits and kills are compared. With --compat improved, which is the
policy AOSP_MENDED (aosp is AOSP_EXACT), a scenario is compared up to the first evaluation that a mended defect changes.
Exit: 0 all agree, 1 some differ, 2 unusable file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lmkd_py.core.vocabulary import PolicyKind
from tools.oracle.case import BadFile, read_cases
from tools.oracle.tally import Tally, check


def main() -> int:
    """Check every file; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--compat", choices=("aosp", "improved"), default="aosp")
    args = parser.parse_args()
    kind = PolicyKind.AOSP_EXACT if args.compat == "aosp" else PolicyKind.AOSP_MENDED
    tally = Tally()
    try:
        for path in args.files:
            for case in read_cases(path):
                tally.add(check(case, kind))
    except BadFile as error:
        print(f"check_oracle: {error}", file=sys.stderr)
        return 2
    print(tally.report(args.compat))
    return 0 if tally.agrees() else 1


if __name__ == "__main__":
    sys.exit(main())
