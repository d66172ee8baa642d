"""Prints and draws the results of `minae bench`: a table for each workload, the curves, and the project's bars."""

import statistics
from typing import Any

from minae.bench.run import BUSY, summary

# ---- bars of the project: (workloads, what, largest or smallest value that is good enough)

PRODUCTS = {"784-500": 1.2, "denoising": 1.2}  # all layers ≥ 500 wide
PLAIN = {"sparse": 1.15, "contractive": 1.35}  # of the plain step of the same network
GENERIC = {"contractive": 150.0, "deep-contractive": 1.5}  # times faster than an automatic Jacobian
# of PyTorch: its closed form, its estimate, its top-k
TORCH = {"contractive": 0.7, "deep-estimate": 0.7, "top-k": 0.667}
OPERATIONS = {
    "convolutional": 1.5,
    "gru": 1.0,
    "attention": 1.2,
    "adversarial": 0.9,
    "vector-quantised": 1.2,
    "speech": 1.2,
    "sequence-to-sequence": 1.2,
}  # own bars
GRADIENT = 0.333  # forward and backward alone
MEAN, WORST, MEMORY, OPERATION_MEMORY, GENERIC_MEMORY = 0.7, 1.0, 0.6, 1.0, 0.5
IMPORT, COLD, WARM = 300, 20_000, 1500  # ms: import, first step with an empty kernel cache and with a full one


def bars(report: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each bar that was measured: {"bar", "value", "limit", "reached"}."""
    rows = []

    def bar(name, value, limit, least=False):
        reached = value >= limit if least else value <= limit
        limit = f"{'≥' if least else '≤'} {limit:g}"
        rows.append({"bar": name, "value": value, "limit": limit, "reached": bool(reached)})

    results = report["workloads"]
    ratios = {name: {k: statistics.median(v) for k, v in result["ratios"].items()} for name, result in results.items()}
    torch = {name: row["minae / torch"] for name, row in ratios.items() if "minae / torch" in row}
    if mean := summary(report):
        bar(f"minae / torch, geometric mean of {len(torch)}", statistics.median(mean), MEAN)
    if of_dense := {name: value for name, value in torch.items() if name not in OPERATIONS}:
        slowest = max(of_dense, key=of_dense.get)
        bar(f"minae / torch, the slowest dense ({slowest})", torch[slowest], WORST)
    for table, ratio in ((PRODUCTS, "minae / products"), (PLAIN, "minae / plain step"), (GENERIC, "generic / minae")):
        for name, limit in table.items():
            if ratio in ratios.get(name, {}):
                bar(f"{ratio}, {name}", ratios[name][ratio], limit, least=ratio == "generic / minae")
    memory = {name: result.get("memory_ratios", {}) for name, result in results.items()}
    if "minae / generic" in memory.get("deep-contractive", {}):
        bar("memory, minae / generic, deep-contractive", memory["deep-contractive"]["minae / generic"], GENERIC_MEMORY)
    for name, limit in {**TORCH, **OPERATIONS}.items():
        if name in torch:
            bar(f"minae / torch, {name}", torch[name], limit)
    for name, row in ratios.items():
        if "minae / torch, gradient" in row:
            bar(f"minae / torch, gradient alone, {name}", row["minae / torch, gradient"], GRADIENT)
    taken = {name: row["minae / torch"] for name, row in memory.items() if "minae / torch" in row}
    if of_dense := {name: value for name, value in taken.items() if name not in OPERATIONS}:
        bar(f"memory, minae / torch, geometric mean of {len(of_dense)} dense", _mean(of_dense.values()), MEMORY)
        most = max(of_dense, key=of_dense.get)
        bar(f"memory, minae / torch, the largest dense ({most})", of_dense[most], MEMORY)
    for name in [name for name in OPERATIONS if name in taken]:
        bar(f"memory, minae / torch, {name}", taken[name], OPERATION_MEMORY)
    if "import_ms" in report:
        bar("import, ms", report["import_ms"], IMPORT)
    if cold := {name: result["cold_ms"] for name, result in results.items() if "cold_ms" in result}:
        slowest = max(cold, key=cold.get)
        bar(f"first step, cold kernel cache, ms, the slowest ({slowest})", cold[slowest], COLD)
        warm = {name: results[name]["warm_ms"] for name in cold}
        slowest = max(warm, key=warm.get)
        bar(f"first step, warm kernel cache, ms, the slowest ({slowest})", warm[slowest], WARM)
    return rows


def _mean(values):
    return statistics.geometric_mean(max(value, 1e-3) for value in values)


# ---- text


def text(kind: str, name: str | None, result: dict[Any, Any]) -> str:
    """One result as it is printed when it comes.     kind: "machine", "workload" or "curve" """
    return {"machine": _machine, "workload": _workload, "curve": _curve}[kind](name, result)


def _machine(_, report):
    torch = "" if report["torch_takes_part"] else f"\nPyTorch {report['torch']}; its columns are left out"
    return f"{report['machine']}\nbackend {report['backend']}, rounds: {report['rounds']}{torch}"


def _workload(name, result):
    lines = ["", name, f"{'contestant':<22} {'ms/step':>9} {'of the rounds':>19} {'fastest':>9} {'first step':>11}"]
    lines[-1] += f" {'memory MB':>10} {'threads':>8} {'others':>7}"
    for name, rows in result["results"].items():
        errors = [row["error"] for row in rows if "error" in row]
        if errors:
            lines.append(f"{name:<22} failed: {errors[0]}")
            continue
        medians = [row["median"] for row in rows]
        memory, busy = result["memory_mb"].get(name), [row["others"] for row in rows if row["others"] is not None]
        lines.append(
            f"{name:<22} {statistics.median(medians):9.3f} {f'{min(medians):.3f}..{max(medians):.3f}':>19}"
            f" {min(row['min'] for row in rows):9.3f} {statistics.median(row['first'] for row in rows):11.1f}"
            f" {'' if memory is None else f'{memory:.1f}':>10} {rows[0]['threads'] or '?':>8}"
            f" {f'{max(busy):.0%}' if busy else '?':>7}"
        )
    for key, values in result["ratios"].items():
        lines.append(f"{key:<22} {statistics.median(values):9.2f} {f'{min(values):.2f}..{max(values):.2f}':>19}")
    for key, value in result.get("memory_ratios", {}).items():
        lines.append(f"{'memory, ' + key:<32} {value:.2f}")
    if result["difference"] is not None:
        lines.append(f"costs of the first steps: largest relative difference {result['difference']:.1e}")
    if "cold_ms" in result:
        warm, cold = result["warm_ms"], result["cold_ms"]
        lines.append(f"first step of minae: {warm:.0f} ms, with an empty kernel cache {cold:.0f} ms")
    if "allocated_bytes" in result:
        grown = ", ".join(f"{v} bytes (batch {k})" for k, v in result["allocated_bytes"].items())
        lines.append(f"a step of minae allocates at most {grown}")
    kept = len(result["results"]["minae"])
    lines.append(f"rounds: {kept}, and {result['thrown_rounds']} with others above {BUSY:.0%} that were thrown away")
    return "\n".join(lines)


def _curve(axis, points):
    head = f"{axis:>14} {'minae ms':>10} {'torch ms':>10} {'products ms':>12} {'minae/torch':>12}"
    lines, keys = ["", f"784-500 by {axis}", head], ("minae", "torch", "products")
    for value, point in points.items():
        minae, torch, products = (point[key] and statistics.median(point[key]) for key in keys)
        ratio = f"{minae / torch:12.2f}" if torch else f"{'':>12}"
        lines.append(f"{value:>14} {minae:10.3f} {f'{torch:.3f}' if torch else '':>10} {products:12.3f} {ratio}")
    return "\n".join(lines)


def closing(report: dict[str, Any]) -> str:
    """The mean and the bars."""
    lines = [""]
    if mean := summary(report):
        spread = f"{min(mean):.2f}..{max(mean):.2f}"
        lines.append(f"minae / torch, geometric mean: {statistics.median(mean):.2f} ({spread})")
    for row in report["bars"]:
        mark = "reached" if row["reached"] else "NOT REACHED"
        lines.append(f"{row['bar']:<52} {row['value']:8.2f}   {row['limit']:<8} {mark}")
    if not report["bars"]:
        lines.append("no bar applies to what was measured")
    return "\n".join(lines)


# ---- Markdown, as it stands in kernels/README.md


def markdown(report: dict[str, Any]) -> str:
    """The same in tables: ms and ratios are medians of the rounds, with their range in brackets."""
    torch = f"PyTorch {report['torch']}" if report["torch_takes_part"] else "without PyTorch"
    settings = f"{report['rounds']} rounds of {report['seconds']:g} s, {torch}" + (
        ", compiled too" * (report["compiled"] and report["torch_takes_part"])
    )
    lines = [f"`minae bench`, {report['date']}, {settings}; {report['machine']}.", ""]
    head = ["workload", "minae ms", "PyTorch ms, its best", "products ms", "minae / PyTorch", "minae / products"]
    rows = []
    for name, result in report["workloads"].items():
        times = {contestant: _times(rows) for contestant, rows in result["results"].items()}
        forms = {form: statistics.median(t) for form, t in times.items() if form.startswith("torch") and t}
        forms = {form: t for form, t in forms.items() if not form.endswith(" gradient")}
        best, ratios, mb = min(forms, key=forms.get, default=None), result["ratios"], result["memory_mb"]
        smallest = best and min((form for form in forms if mb.get(form)), key=lambda form: mb[form], default=None)
        rows.append(
            [
                name,
                _spread(times["minae"]),
                f"{_spread(times[best])} {best.removeprefix('torch ')}" if best else "",
                _spread(times.get("products")),
                _spread(ratios.get("minae / torch"), ".2f"),
                _spread(ratios.get("minae / products"), ".2f"),
                f"{result['warm_ms']:.0f} / {result['cold_ms']:.0f}" if "cold_ms" in result else "",
                f"{mb['minae']:.1f}",
                f"{mb[smallest]:.1f}" if smallest else "",
            ]
        )
    lines += _table([*head, "first step ms, warm / cold", "memory MB", "PyTorch's"], rows)
    stand_apart = [
        [key, name, _spread(result["ratios"].get(key), ".2f")]
        for name, result in report["workloads"].items()
        for key in ("minae / jax", "minae / plain step", "generic / minae", "minae / torch, gradient")
        if key in result["ratios"]
    ]
    lines += ["", *_table(["ratio", "workload", "median (range)"], stand_apart)] if stand_apart else []
    for axis, points in report["curves"].items():
        keys = ("minae", "torch", "products")
        rows = [[str(value), *(_spread(point[key]) for key in keys)] for value, point in points.items()]
        lines += ["", *_table([axis, "minae ms", "PyTorch ms", "products ms"], rows)]
    rows = [[r["bar"], f"{r['value']:.2f}", r["limit"], "yes" if r["reached"] else "**no**"] for r in report["bars"]]
    return "\n".join([*lines, "", *_table(["bar", "measured", "limit", "reached"], rows)]) + "\n"


def _times(rows):
    return [row["median"] for row in rows if "median" in row]


def _spread(values, digits=None):
    if not values:
        return ""
    digits = digits or (".3g" if max(values) < 1000 else ".0f")
    low, middle, high = (f"{value:{digits}}" for value in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f"{middle} ({low}–{high})"


def _table(head, rows):
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


# ---- picture


def picture(report: dict[str, Any]) -> Any:
    """The curves: ms a step of minae, of PyTorch's best and of the products, one panel an axis."""
    from matplotlib.figure import Figure

    curves = report["curves"]
    fig = Figure(figsize=(3.4 * len(curves), 3.6), layout="constrained")
    panels = fig.subplots(1, len(curves), squeeze=False, sharey=True)[0]
    for panel, (axis, points) in zip(panels, curves.items(), strict=True):
        for label, key, style in (("minae", "minae", "o-"), ("PyTorch", "torch", "s-"), ("products", "products", "k:")):
            if all(point[key] for point in points.values()):
                times = [statistics.median(point[key]) for point in points.values()]
                panel.plot(list(points), times, style, label=label)
        panel.set(xscale="log", yscale="log", xlabel=axis)
        panel.set_xticks(list(points), [f"{value:,}" for value in points])
        panel.set_xticks([], minor=True)
    panels[0].set_ylabel("ms a step")
    panels[0].legend(fontsize=8)
    fig.suptitle("784-500, batch 128, 6,000 rows of data; one thing changes", fontsize=10)
    return fig
