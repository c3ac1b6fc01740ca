"""Kills against stall as a picture: a point a run, a colour a killer; below on the left is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from xml.sax.saxutils import escape

from tools.outcome.bars import Run, kills, some_s

NAMESPACE = "http://www.w3.org/2000/svg"
WIDTH, HEIGHT, EDGE = 560, 320, 48
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def scatter(title: str, runs: Mapping[str, Sequence[Run]], minimum: int) -> str:
    """An SVG. A killer's name stands at its medians; a dashed line is at the fewest deaths possible."""
    every = [run for found in runs.values() for run in found]
    most_kills = max(1.0, *map(kills, every)) * 1.1
    most_s = max(0.1, *map(some_s, every)) * 1.1

    def x(value: float) -> float:
        return round(EDGE + (WIDTH - 3 * EDGE) * value / most_kills, 1)

    def y(value: float) -> float:
        return round(HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * value / most_s, 1)

    parts = [
        f'<svg xmlns="{NAMESPACE}" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{EDGE}" y="24" font-size="14">{escape(title)}</text>',
        f'<path d="M{x(0)} {y(most_s)}V{y(0)}H{x(most_kills)}" fill="none" stroke="#000000"/>',
        f'<text x="{x(most_kills)}" y="{HEIGHT - 14}" text-anchor="end">killed, up to {most_kills / 1.1:g}</text>',
        f'<text x="{EDGE}" y="{EDGE - 6}">stall of some task, up to {most_s / 1.1:.1f} s</text>',
    ]
    if minimum:
        parts.append(f'<path d="M{x(minimum)} {y(0)}V{y(most_s)}" stroke="#888888" stroke-dasharray="4"/>')
    for colour, (killer, found) in zip(COLOURS, runs.items(), strict=False):
        parts += [f'<circle cx="{x(kills(run))}" cy="{y(some_s(run))}" r="4" fill="{colour}"/>' for run in found]
        at = x(median(map(kills, found))) + 7, y(median(map(some_s, found))) - 5
        parts.append(f'<text x="{at[0]}" y="{at[1]}" fill="{colour}">{escape(killer)}</text>')
    return "\n".join([*parts, "</svg>", ""])
