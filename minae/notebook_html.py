"""What notebooks show of models, histories and gradient reports: small tables of HTML.

Every word is escaped, and there is no script, no style sheet and nothing to fetch. Lines and letters have the colour of
the text around them, so that a dark page is read as a light one; no meaning is in a colour alone.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from minae import options

CELL = "padding:0.15em 0.7em;text-align:{};white-space:nowrap"
LINE = "border-bottom:1px solid rgba(128,128,128,0.6)"
LONGEST, POINTS = 40, 60  # rows of a table, and points of a sparkline; what is more is left out, and the table says so


class Markup(str):
    """HTML that is put into a cell as it is; any other text is escaped."""


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", note: str = "", numbers: Iterable[int] = ()
) -> str:
    """A table of HTML.

    head: names of the columns;  rows: a cell for each column;  note: a line below the table
    numbers: places of the columns that hold numbers, which stand at the right
    """
    right = set(numbers)
    sides = [CELL.format("right" if k in right else "left") for k in range(len(head))]

    def row(tag, cells, more=""):
        words = [cell if isinstance(cell, Markup) else escape(cell) for cell in cells]
        placed = [f'<{tag} style="{side}{more}">{word}</{tag}>' for word, side in zip(words, sides, strict=True)]
        return f"<tr>{''.join(placed)}</tr>"

    title = f'<caption style="{CELL.format("left")}">{escape(caption)}</caption>'
    body = "\n".join(row("td", cells) for cells in rows)
    words = f"<p>{escape(note)}</p>" if note else ""
    top = f"<thead>{row('th', head, f';{LINE}')}</thead>"
    return f'<table style="border-collapse:collapse">{title}{top}<tbody>{body}</tbody></table>{words}'


def sparkline(values: Iterable[float], words: str) -> Markup:
    """A small curve through the values, as SVG.     words: what a screen reader says of it

    A value that is not finite is left out. A curve of one value is a point.
    """
    values = [float(value) for value in values]
    some = [values[k] for k in _spread(len(values), POINTS)]
    points = [(k, value) for k, value in enumerate(some) if math.isfinite(value)]
    width, height = 120, 24
    low, high = min((value for _, value in points), default=0.0), max((value for _, value in points), default=0.0)
    tall = high - low if 0 < high - low < math.inf else 1.0
    places = [
        (2 + (width - 4) * k / max(1, len(some) - 1), height - 3 - (height - 6) * min(1.0, (value - low) / tall))
        for k, value in points
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    drawn = f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
    if len(places) == 1:
        drawn = f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="2" fill="currentColor"/>'
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return Markup(f'<svg {size} role="img" aria-label="{escape(words)}">{drawn if places else ""}</svg>')


def of_model(model: Any) -> str:
    """The layers of a model: what they are, their parameters and shapes, how many numbers and bytes; and its options
    that differ from their defaults."""
    rows: list[list[str]] = []
    seen: set[str] = set()
    itemsize = model.dtype.itemsize
    shapes = {name: tuple(model.parameters[name].shape) for name in model.parameters}

    def row(place, kind, names):
        own = [name for name in names if name not in seen]
        seen.update(own)
        words = ", ".join(f"{name} {_shape(shapes[name])}" + " (shared)" * (name not in own) for name in names)
        count = sum(math.prod(shapes[name]) for name in own)
        return [place, kind, words, f"{count:,}" if names else "", f"{count * itemsize:,}" if names else ""]

    for net, network in model.nets.items():
        trained, first = 0, len(rows)
        for layer in getattr(network, "layers", [network]) if hasattr(network, "trained") else [network]:
            kind, names = _kind(layer), list(layer.names)
            if names or len(rows) == first:
                trained += bool(names)
                rows.append(row(f"{net}{trained}" if names else net, kind, names))
            elif kind:
                rows[-1][1] = f"{rows[-1][1]}, {kind}".removeprefix(", ")
    if rest := [name for name in shapes if name not in seen]:
        rows.append(row("model", "", rest))
    numbers = [(name, array) for name, array in model.state.items()]
    if numbers:
        words = ", ".join(f"{name} {_shape(array.shape)}" for name, array in numbers)
        rows.append(["state", "not trained", words, "", f"{sum(array.nbytes for _, array in numbers):,}"])
    rows = _shortened(rows)
    total = model.parameters.flat.size
    held = total * itemsize + sum(array.nbytes for _, array in numbers)
    rows.append(["total", "", "", f"{total:,}", f"{held:,}"])
    where = f"{type(model).__name__}: {total:,} parameters of {model.dtype.name} on {model.backend.name}"
    changed = {
        name: option.value(model)
        for name, option in options.of(type(model)).items()
        if not _same(option.value(model), option.default)
    }
    note = "options: " + (
        ", ".join(f"{name}={_cut(value)}" for name, value in changed.items()) or "all at their defaults"
    )
    return table(["layer", "kind", "parameters", "numbers", "bytes"], rows, where, note, numbers=(3, 4))


def of_history(history: Sequence[dict[str, Any]]) -> str:
    """A History: each term with its curve, its first, last and lowest value, and the epoch of the lowest."""
    if not history:
        return "<p>History: no epoch yet</p>"
    rows = []
    for name, values in series(history).items():
        finite = [pair for pair in values if math.isfinite(pair[1])]
        epoch, lowest = min(finite, key=lambda pair: pair[1], default=(values[0][0], math.nan))
        first, last = values[0][1], values[-1][1]
        words = f"{name} from {first:.4g} to {last:.4g}"
        curve = sparkline((value for _, value in values), words)
        rows.append([name, curve, f"{first:.4g}", f"{last:.4g}", f"{lowest:.4g}", str(epoch)])
    head = ["term", "by epoch", "first", "last", "lowest", "at epoch"]
    return table(head, _shortened(rows), spent(history), numbers=(2, 3, 4, 5))


def of_report(report: Any) -> str:
    """A GradientReport: a row for each parameter, a column for each cost; a cell has the error, and the verdict in
    words."""
    costs = list(dict.fromkeys(row.terms for row in report.rows))
    cells = {(row.parameter, row.terms): f"{row.error:.1e} {report.verdict(row)}" for row in report.rows}
    failed = {row.parameter for row in report.rows if not row.passed}
    names = list(dict.fromkeys(row.parameter for row in report.rows))
    names.sort(key=lambda name: name not in failed)  # what is wrong is not left out of a long table
    rows = [[name, *(cells.get((name, cost), "") for cost in costs)] for name in names]
    note = f"A cell has the relative error and what it says; an error up to {report.tolerance:g} is right."
    return table(["parameter", *costs], _shortened(rows), report.summary(), note)


def text_of_history(history: Sequence[dict[str, Any]]) -> str:
    """A History as text: its first and last epochs, and some between."""
    if not history:
        return "History: no epoch yet"
    columns = {name: dict(values) for name, values in series(history).items()}
    lines = [["epoch", *columns]]
    for k in _spread(len(history), 8):
        epoch = history[k].get("epoch", k + 1)
        lines.append(
            [str(epoch), *(f"{by_epoch[epoch]:.5g}" if epoch in by_epoch else "" for by_epoch in columns.values())]
        )
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    text = ["  ".join(word.rjust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([spent(history), *text])


def series(history: Sequence[dict[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Term -> its (epoch, value) pairs: the cost terms of a History and, as "validation.J", those of validation. A term
    may be missing from an epoch."""
    found: dict[str, list[tuple[int, float]]] = {}
    for k, record in enumerate(history):
        epoch = record.get("epoch", k + 1)
        validation = record.get("validation") or {}
        terms = {name: value for name, value in record.items() if name not in MEASURES}
        for name, value in (terms | {f"validation.{name}": value for name, value in validation.items()}).items():
            found.setdefault(name, []).append((epoch, float(value)))
    return found


MEASURES = ("epoch", "step", "seconds", "examples_per_second", "validation")  # of a record, beside the cost terms


def spent(history: Sequence[dict[str, Any]]) -> str:
    """How many epochs and steps, and how long they took, in words."""
    epochs, last = len(history), history[-1]
    seconds = sum(record.get("seconds", 0.0) for record in history)
    steps = f", {last['step']:,} steps" if "step" in last else ""
    return f"History: {epochs:,} epoch{'s' * (epochs != 1)}{steps}, {seconds:.3g} s"


def _spread(count, most):
    """Indices of at most so many of `count` things: the first, the last, and some between."""
    if count <= most:
        return list(range(count))
    return sorted({round(k * (count - 1) / (most - 1)) for k in range(most)})


def _shortened(rows):
    if len(rows) <= LONGEST:
        return rows
    half, blank = LONGEST // 2, [""] * (len(rows[0]) - 1)
    return [*rows[:half], [f"… {len(rows) - 2 * half} more", *blank], *rows[-half:]]


def _kind(layer):
    """The class of a layer; for an activation its name, and nothing for the identity."""
    kind = type(layer).__name__
    return kind if kind != "Activation" else "" if layer.name == "identity" else layer.name


def _shape(shape):
    return " × ".join(map(str, shape)) or "1"


def _same(value, default):
    """Whether an option has its default; a default that no value equals, such as that of a required one, is another."""
    try:
        return bool(value == default)
    except (TypeError, ValueError):
        return False


def _cut(value, most=80):
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[:most]}…"
