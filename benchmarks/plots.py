"""The pictures of docs/benchmarks.md and docs/growth.md, as SVG: the same bytes for the same figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import matplotlib
from page import Judged, amount

if TYPE_CHECKING:
    from matplotlib.axes import Axes

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "audit-pipeline", "svg.fonttype": "none", "font.size": 9})
_MET, _MISSED, _GREY = "#2b6cb0", "#c05621", "#4a5568"
_MARKERS = "os^vD*"


def plot_goals(path: Path, judged: Sequence[Judged]) -> None:
    """A bar for each figure that has a goal: how many times it is met; with the lowest and highest round."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import ScalarFormatter

    shown = [one for one in judged if one.row.goal is not None and not one.missing][::-1]
    figure, axes = plt.subplots(figsize=(9, 0.45 * len(shown) + 1), layout="constrained")
    shares = [_share(one, value) for one in shown for value in one.values]
    for at, one in enumerate(shown):
        share = _share(one, one.median)
        low, high = (_share(one, bound(one.values, key=lambda value: _share(one, value))) for bound in (min, max))
        color, hatch = (_MET, None) if one.is_met else (_MISSED, "//")
        axes.barh(at, share, color=color, hatch=hatch, edgecolor="white", height=0.6)
        axes.plot([low, high], [at, at], color=_GREY, linewidth=2)
        axes.annotate(amount(one.median, one.row.unit), (high, at), (4, 0), textcoords="offset points", va="center")
    axes.axvline(1, color="black", linewidth=1)
    axes.set(xscale="log", xlim=(min(0.1, *shares) / 2, 4 * max(1, *shares)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_yticks(range(len(shown)), [fill(one.row.work, 52) for one in shown], fontsize=8)
    axes.set_xlabel("share of the goal; grey: lowest to highest round")
    _save(figure, path)


def plot_growth(path: Path, unit: str, counts: Sequence[int], seconds: Mapping[str, Sequence[float]]) -> None:
    """A curve for each work: seconds against how many `unit`, both logarithmic. Dotted: twice as many take twice."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for marker, (work, found) in zip(_MARKERS, seconds.items(), strict=False):
        axes.plot(counts, found, marker=marker, label=work)
    top = max(found[-1] for found in seconds.values())
    axes.plot(counts, [top * count / counts[-1] for count in counts], ":", color=_GREY, label="in proportion")
    axes.set(xscale="log", yscale="log", xlabel=unit, ylabel="seconds")
    _grid(axes)
    axes.legend(frameon=False)
    _save(figure, path)


def _share(one: Judged, value: float) -> float:
    goal = one.row.goal or 1
    return goal / value if one.row.at_least is None else value / goal


def _grid(axes: "Axes") -> None:
    axes.grid(visible=True, which="major", color="#e2e8f0")
    axes.set_axisbelow(True)


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
