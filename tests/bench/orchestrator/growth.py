"""What a longer list costs: decisions a second and memory at 1,000 to 1,000,000 attributes, and a plot of both."""

import asyncio
import json
import sys
from collections.abc import Sequence
from math import log10
from pathlib import Path
from typing import Any

SIZES = (1_000, 10_000, 100_000, 1_000_000)
PLOT = Path("build") / "growth.svg"

WIDTH, HEIGHT, MARGIN = 640, 320, 60
COLOURS = {"exact": "#2a9d8f", "semantic": "#e76f51"}


async def measure() -> dict[str, Any]:
    """The figures of the command `bench` at each size, each in a process of its own; writes the plot."""
    figures: dict[str, Any] = {}
    for tiers in COLOURS:
        found = [await _bench(tiers, size) for size in SIZES]
        figures[tiers] = {str(one["accepted"]): {name: one[name] for name in FIGURES} for one in found}
    PLOT.parent.mkdir(exist_ok=True)
    PLOT.write_text(_plot({t: [(s, figures[t][str(s)]["single_p50_ms"]) for s in SIZES] for t in COLOURS}))
    return {**figures, "plot": str(PLOT)}


FIGURES = ("decisions_per_s", "single_p50_ms", "single_p95_ms", "bytes_per_attribute")


def in_line(figures: dict[str, Any]) -> bool:
    """Whether a list a thousand times as long costs at most twenty times as much for a decision."""
    first, last = str(SIZES[0]), str(SIZES[-1])
    return all(figures[t][first]["decisions_per_s"] <= 20 * figures[t][last]["decisions_per_s"] for t in COLOURS)


async def _bench(tiers: str, accepted: int) -> dict[str, Any]:
    command = ["-m", "services.orchestrator.dedupe", "bench", "--accepted", str(accepted), "--dedupe", tiers]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    answer, _ = await process.communicate()
    found: dict[str, Any] = json.loads(answer)
    return found


def _plot(curves: dict[str, Sequence[tuple[int, float]]]) -> str:
    """Milliseconds of one decision by attributes on the list, both axes logarithmic."""
    values = [ms for curve in curves.values() for _, ms in curve]
    low, high = log10(min(values)), log10(max(values)) or 1.0

    def place(size: int, ms: float) -> str:
        across = (log10(size) - log10(SIZES[0])) / (log10(SIZES[-1]) - log10(SIZES[0]))
        up = (log10(ms) - low) / max(high - low, 0.1)
        return f"{MARGIN + across * (WIDTH - 2 * MARGIN):.0f},{HEIGHT - MARGIN - up * (HEIGHT - 2 * MARGIN):.0f}"

    size_of = f'width="{WIDTH}" height="{HEIGHT}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size_of} font-family="sans-serif" font-size="12">']
    parts.append(f'<rect {size_of} fill="white"/>')
    for name, curve in curves.items():
        points = " ".join(place(size, ms) for size, ms in curve)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
        for size, ms in curve:
            x, y = place(size, ms).split(",")
            parts.append(f'<text x="{x}" y="{int(y) - 8}" text-anchor="middle" fill="{COLOURS[name]}">{ms:g} ms</text>')
    for size in SIZES:
        x = place(size, min(values)).split(",")[0]
        parts.append(f'<text x="{x}" y="{HEIGHT - MARGIN + 24}" text-anchor="middle">{size:,}</text>')
    names = " ".join(f'<tspan fill="{colour}">{name}</tspan>' for name, colour in COLOURS.items())
    parts.append(f'<text x="{MARGIN}" y="24">one decision by attributes on the list: {names}</text>')
    return "\n".join([*parts, "</svg>", ""])
