"""`python -m tools.observer [--seconds S] [--pid PID ...] [EVENT ...]`: one tab-separated line an event."""

from __future__ import annotations

import argparse
import sys
import time

from tools.observer.observer import DEFAULT_EVENTS, Observer


def main() -> int:
    """Prints events as they come; ends with 1 if any was lost."""
    parser = argparse.ArgumentParser(prog="python -m tools.observer", description=__doc__)
    parser.add_argument("events", nargs="*", default=list(DEFAULT_EVENTS), help="tracepoints, system:event")
    parser.add_argument("--seconds", type=float, default=0, help="how long; 0: until interrupted")
    parser.add_argument("--pid", type=int, action="append", default=[], help="also print wake-ups of this thread")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds if options.seconds else float("inf")
    with Observer(options.events, options.pid) as observer:
        seen = 0
        try:
            while time.monotonic() < end:
                time.sleep(0.1)
                events = observer.events()
                for event in events[seen:]:
                    told = " ".join(f"{name}={value}" for name, value in event.fields.items() if "common" not in name)
                    print(event.time_ns, event.name, f"pid={event.pid} tid={event.tid}", told, sep="\t", flush=True)
                seen = len(events)
        except KeyboardInterrupt:
            pass
        print(f"lost\t{observer.lost}")
        return 1 if observer.lost else 0


if __name__ == "__main__":
    sys.exit(main())
