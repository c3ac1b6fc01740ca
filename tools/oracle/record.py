"""Write out what our own policy does in a scenario, in the form of the recorded ones: for samples and tests."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lmkd_py.core.vocabulary import PolicyKind

from .case import Evaluation
from .daemon import Daemon


def record(case: dict[str, Any]) -> dict[str, Any]:
    """The scenario with `evals` as AOSP_EXACT has them and `defect_at` where AOSP_MENDED first differs."""
    case = {**case, "evals": []}
    aosp = Daemon(case, PolicyKind.AOSP_EXACT).run()
    improved = Daemon(case, PolicyKind.AOSP_MENDED).run()
    case["evals"] = [_entry(evaluation) for evaluation in aosp]
    pairs = enumerate(zip(aosp, improved))
    differs = next((i for i, (a, b) in pairs if a != b), min(len(aosp), len(improved)))
    if differs < max(len(aosp), len(improved)):
        case["defect_at"] = {"any": differs}
    return case


def _entry(evaluation: Evaluation) -> dict[str, Any]:
    entry = {name: value for name, value in asdict(evaluation).items() if value not in (None, (), [])}
    if evaluation.zi == 0:
        del entry["zi"]
    return entry
