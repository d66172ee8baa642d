"""Every picture that the chapters draw. Each function returns a Matplotlib Figure and shows nothing by itself."""

from io import BytesIO

import numpy as np

from minae import files


def _figure(width, height):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(fig, path):
    """Write a Figure as PNG, whole or not at all."""
    data = BytesIO()
    fig.savefig(data, format="png", dpi=120)
    files.replace(path, data.getvalue())


def images(rows, title=None, shape=(28, 28), columns=12):
    """Rows of grey images under each other.     rows: label -> (k, pixels) in [0, 1]; the first `columns` are drawn."""
    columns, (height, width) = min(columns, *(len(x) for x in rows.values())), shape
    gap = 2  # pixels between images
    canvas = np.zeros((len(rows) * (height + gap), columns * (width + gap)))
    for i, x in enumerate(rows.values()):
        for j in range(columns):
            top, left = i * (height + gap), j * (width + gap)
            canvas[top : top + height, left : left + width] = np.reshape(x[j], shape)
    fig = _figure(0.62 * columns + 1.2, 0.66 * len(rows) + (0.4 if title else 0.1))
    axis = fig.subplots()
    axis.imshow(canvas, cmap="gray_r", vmin=0, vmax=1)
    axis.set_yticks([i * (height + gap) + height / 2 for i in range(len(rows))], list(rows))
    axis.set(xticks=[], title=title)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
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
    """Lines.     series: label -> (x values, y values)."""
    fig = _figure(6.4, 4)
    axis = fig.subplots()
    for label, (x, y) in series.items():
        axis.plot(x, y, label=label)
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title, xscale=xscale, yscale=yscale)
    axis.legend(fontsize=8)
    return fig
