"""Every picture that the chapters draw. Each function returns a Matplotlib Figure and shows nothing by itself."""

import numpy as np


def _figure(width, height):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def images(rows, title=None, shape=(28, 28), columns=12):
    """Rows of grey images under each other.     rows: label -> (k, pixels) in [0, 1]; the first `columns` are drawn."""
    columns = min(columns, *(len(x) for x in rows.values()))
    fig = _figure(0.62 * columns + 1.6, 0.68 * len(rows) + (0.45 if title else 0.1))
    axes = fig.subplots(len(rows), columns, squeeze=False)
    for line, (label, x) in zip(axes, rows.items(), strict=True):
        for axis, pixels in zip(line, x, strict=False):
            axis.imshow(np.reshape(pixels, shape), cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    if title:
        fig.suptitle(title, fontsize=10)
    return fig


def codes(panels, labels, title=None):
    """2-D codes as points, coloured by class.     panels: label -> (k, 2); labels: (k,) integers 0–9."""
    fig = _figure(5.2 * len(panels), 4.8)
    for axis, (label, h) in zip(fig.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        points = axis.scatter(*h.T, c=labels, cmap="tab10", s=4, linewidths=0, vmin=-0.5, vmax=9.5)
        axis.set(title=label, xlabel="$h_1$", ylabel="$h_2$")
    fig.colorbar(points, ax=fig.axes, ticks=range(10), label="digit (not seen in training)")
    if title:
        fig.suptitle(title, fontsize=10)
    return fig


def curves(histories, term="J", lines=None, ylabel=None, title=None):
    """Cost by epoch, training dashed and validation solid.     histories: label -> History;  lines: label -> level."""
    fig = _figure(6.4, 4)
    axis = fig.subplots()
    for k, (label, history) in enumerate(histories.items()):
        epochs = history["epoch"]
        axis.plot(epochs, history[term], "--", color=f"C{k}", linewidth=1, label=f"{label}, training")
        if "validation" in history[0]:
            axis.plot(epochs, history[f"validation.{term}"], color=f"C{k}", label=f"{label}, test")
    for label, level in (lines or {}).items():
        axis.axhline(level, color="0.4", linewidth=1, linestyle=":")
        axis.annotate(label, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    axis.set(xlabel="epoch", ylabel=ylabel or term, title=title)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend(fontsize=8)
    return fig


def levels(series, xlabel, ylabel, title=None, xscale="linear", yscale="linear"):
    """Lines with markers.     series: label -> (x values, y values)."""
    fig = _figure(6.4, 4)
    axis = fig.subplots()
    for label, (x, y) in series.items():
        axis.plot(x, y, "o-", markersize=4, label=label)
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title, xscale=xscale, yscale=yscale)
    axis.legend(fontsize=8)
    return fig
