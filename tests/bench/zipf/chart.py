"""Curves as SVG: a few lines of our own, since a chart of a benchmark is worth no library."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 860, 460, 60, 40, 20, 230
COLOURS = ("#767676", "#b8860b", "#2e7d32", "#8e44ad", "#1565c0", "#c62828")


def curves(title: str, across: str, lines: Mapping[str, Sequence[float]]) -> str:
    """One curve a name over 1, 2, 3, …, with its name at its end."""
    longest, highest = max(map(len, lines.values())), max(map(max, lines.values()))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(number: int, value: float) -> str:
        return f"{LEFT + wide * number / longest:.1f},{TOP + high * (1 - value / highest):.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/><text x="{LEFT}" y="14">{escape(title)}</text>',
    ]
    for step in range(5):
        y = TOP + high * (1 - step / 4)
        parts.append(f'<path d="M{LEFT} {y:.1f}h{wide}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{highest * step / 4:.0f}</text>')
    for step in range(1, 5):
        x = LEFT + wide * step / 4
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 20}" text-anchor="middle">{longest * step // 4}</text>')
    parts.append(f'<text x="{LEFT + wide / 2:.0f}" y="{HEIGHT - 4}" text-anchor="middle">{escape(across)}</text>')
    ends = _apart([TOP + high * (1 - values[-1] / highest) + 4 for values in lines.values()])
    for (name, values), colour, end in zip(lines.items(), COLOURS, ends, strict=False):
        points = " ".join(place(number, value) for number, value in enumerate(values, start=1))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT + wide + 6}" y="{end:.1f}" fill="{colour}">{escape(name)} ({values[-1]:.0f})</text>')
    return "\n".join([*parts, "</svg>", ""])


def _apart(ends: list[float], least: float = 14) -> list[float]:
    """Places of the names, moved apart so that none lies on another."""
    order = sorted(range(len(ends)), key=lambda n: -ends[n])
    placed, below = list(ends), float("inf")
    for n in order:
        below = placed[n] = min(placed[n], below - least)
    return placed
