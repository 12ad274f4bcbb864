"""Published numbers as a picture: a point with its 95% interval, a line each, in text that every UI shows alike."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

_WIDTH = 40
_MOST = 50


def interval_chart(numbers: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: of each statistic its numbers on one scale, `├─●─┤` for lower end, value and upper end."""
    lines = []
    for statistic, group in groupby(numbers[:_MOST], key=lambda number: number["statistic"]):
        shown = list(group)
        said = [number for number in shown if number["value"] is not None]
        least = min([number["lower"] for number in said], default=0.0)
        most = max([number["upper"] for number in said], default=0.0)
        lines.append(f"{statistic}  ({least:.4g} to {most:.4g})" if said else f"{statistic}  (too few to say)")
        width = max((len(number["key"]) for number in shown), default=0)
        lines += [f"  {number['key']:<{width}} {_bar(number, least, most)}" for number in shown]
    return "\n".join(["```text", *(line.replace("`", "'") for line in lines), "```"])


def _bar(number: Mapping[str, Any], least: float, most: float) -> str:
    if number["value"] is None:
        return "too few to say"
    scale = (_WIDTH - 1) / (most - least) if most > least else 0.0
    lower, value, upper = (round((number[name] - least) * scale) for name in ("lower", "value", "upper"))
    bar = [" "] * _WIDTH
    bar[lower : upper + 1] = "─" * (upper - lower + 1)
    bar[lower], bar[upper] = "├", "┤"
    bar[value] = "●"
    return f"{''.join(bar)} {number['value']:.4g}"
