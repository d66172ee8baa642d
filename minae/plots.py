"""Every picture that the chapters draw, for pictures of your own, too.

    from minae import plots

    fig = plots.curves({"plain": history, "denoising": other})    # by label, as all of them
    fig.axes[0].set(ylim=(80, 120))
    fig.savefig("curves.pdf")

    images, sheet           rows of x as grey pictures: beside each other by label, or all of them
    codes, plane, clouds    points of the plane: by class, with thumbnails or edges, against the data
    fields, paths, gaussians, polygons      vectors, walks, ellipses and regions in the plane
    curves                  histories by epoch
    levels, panels, bars    lines over numbers, several of them side by side, and one number for each label
    heat, table, spectrograms       tables of numbers, tables of words, sounds

Each function returns a Matplotlib Figure, which a notebook shows, and neither opens a window nor writes a file. Arrays
are those of the host. Axes come from `fig.axes`; `save` writes a PNG whole or not at all.

One method has one look in the whole book, `METHODS`: a colour (of Okabe and Ito's eight, which colour-blind readers can
part), a line and a marker, so that it is told apart without colour too. A label says its method by its first word:
"PCA, k = 30" looks as PCA does. Other labels get a look by their place.
"""

import functools
import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minae import files
from minae.training.loop import History

if TYPE_CHECKING:  # Matplotlib is loaded when a picture is drawn
    from matplotlib.figure import Figure

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, RED, PURPLE, GREY = "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#767676"


class Look(NamedTuple):
    """How a method is drawn."""

    color: str
    linestyle: str
    marker: str


METHODS = {  # first words of a label -> its look
    "pixels": Look(GREY, ":", "."),
    "PCA": Look(BLACK, "--", "s"),
    "linear filter": Look(BLACK, "-.", "P"),
    "local PCA": Look(GREY, "-.", "p"),
    "autoencoder": Look(BLUE, "-", "o"),
    "plain": Look(BLUE, "-", "o"),
    "identity": Look(GREY, ":", "."),
    "sparse": Look(GREEN, "-", "^"),
    "k-sparse": Look(GREEN, "--", "v"),
    "batch top-k": Look(BLUE, "-.", "D"),
    "nested": Look(SKY, "-", "s"),
    "JumpReLU": Look(ORANGE, "-", "P"),
    "gated": Look(PURPLE, "--", "X"),
    "denoising": Look(ORANGE, "-", "D"),
    "contractive": Look(RED, "-", "X"),
    "weight decay": Look(SKY, "-.", "s"),
    "variational": Look(PURPLE, "-", "*"),
    "hashing": Look(SKY, "-", "h"),
    "ITQ": Look(RED, "--", "d"),
    "LSH": Look(GREY, "-.", "<"),
    "random weights": Look(GREY, "-", "x"),
    "narrow weights": Look(GREY, "--", "v"),
    "pretrained": Look(SKY, "--", "p"),
    "ReLU": Look(PURPLE, "-.", "P"),
    "pretrained ReLU": Look(BLACK, ":", "X"),
    "shuffled": Look(RED, ":", "o"),
    "frozen": Look(ORANGE, "--", "d"),
    "fine-tuned": Look(GREEN, "-.", ">"),
    "softmax on pixels": Look(BLACK, ":", "s"),
    "ISTA": Look(GREY, ":", "<"),
    "FISTA": Look(BLACK, "--", ">"),
    "f(x)": Look(BLUE, "--", "s"),
    "LISTA": Look(PURPLE, "--", "h"),
    "exact": Look(BLACK, ":", "D"),
    "kernel ridge": Look(BLACK, "-", "v"),
    "moment matching": Look(BLACK, "-", "P"),
    "dense": Look(RED, "-.", "o"),
    "local": Look(GREEN, "-.", "s"),
    "adversarial": Look(GREEN, ":", "D"),
    "GAN": Look(RED, "-.", "s"),
    "diffusion": Look(BLUE, "--", "^"),
    "k-means": Look(GREY, "--", "P"),
    "t-SNE": Look(ORANGE, "-.", "p"),
    "UMAP": Look(SKY, ":", "h"),
    "Deep SVDD": Look(RED, "-.", "^"),
    "Mahalanobis": Look(SKY, ":", "D"),
    "isolation forest": Look(GREEN, ":", "P"),
    "one-class SVM": Look(GREY, "-.", "v"),
    "logistic": Look(GREY, "--", "D"),
    "forest": Look(GREEN, "-", "p"),
    "boosting": Look(ORANGE, "-.", "s"),
    "embeddings": Look(BLUE, "-", "s"),
    "balanced": Look(RED, "--", "P"),
    "undone": Look(ORANGE, ":", "^"),
    "observed": Look(BLACK, "-", "o"),
    "following": Look(PURPLE, "-", "v"),
    "training digits": Look(BLACK, "-.", "o"),
    "log-mel frames": Look(GREY, "-", "D"),
    "CMVN": Look(BLUE, "--", "P"),
    "normalised": Look(GREEN, "-", "o"),
    "not normalised": Look(RED, "--", "s"),
    "voice code": Look(PURPLE, "-", "d"),
    "own voice": Look(ORANGE, "-.", "^"),
    "detail kept": Look(SKY, "-", "v"),
    "mean and deviation": Look(BLACK, ":", "P"),
    "mean and deviation, by recording": Look(GREY, ":", "d"),
    "attention": Look(BLUE, "-", "X"),
    "GRU": Look(ORANGE, "--", "h"),
    "counts": Look(GREY, ":", "s"),
    "counts: one other word": Look(GREY, "--", "<"),
    "counts: two other words": Look(BLACK, "-.", "D"),
    "human": Look(BLACK, ":", "p"),
    "byte network": Look(BLUE, "-.", "h"),
    "histogram and forest": Look(GREEN, "--", "P"),
    "histogram and logistic": Look(BLACK, "-.", "v"),
    "length and logistic": Look(GREY, "-", "s"),
    "most frequent family": Look(GREY, "--", "."),
    "random words": Look(GREY, ":", "v"),
    "lead": Look(SKY, "--", "X"),
    "tf-idf": Look(BLACK, "-.", "*"),
    "pointer": Look(RED, "-", "s"),
    "pointer, both at once": Look(ORANGE, "--", "^"),
}
OTHERS = [
    Look(*parts)
    for parts in zip([BLUE, RED, GREEN, ORANGE, PURPLE, SKY], "- -- -. : - --".split(), "osD^vX", strict=True)
]


def look(label: str, place: int = 0) -> Look:
    """The look of what a label names: of the method with which it begins, else of its place in the picture."""
    names = [name for name in METHODS if label.startswith(name)]
    return METHODS[max(names, key=len)] if names else OTHERS[place % len(OTHERS)]


def missing(fig: "Figure") -> list[str]:
    """What a reader lacks in a Figure: a title, or the label of an axis that shows numbers. [] where all is there."""
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    lacks = [] if fig.get_suptitle() or any(axes.get_title() for axes in fig.axes) else ["a title"]
    for axes in fig.axes:
        for axis, side in ((axes.xaxis, "bottom"), (axes.yaxis, "left")):
            shown = axes.axison and axis.get_visible() and len(axis.get_ticklocs())
            ticks = axis.get_tick_params()
            shown = shown and any(ticks.get(f"label{one}") for one in (side, {"bottom": "top", "left": "right"}[side]))
            words = isinstance(axis.get_major_formatter(), FixedFormatter | FuncFormatter)  # the ticks say it all
            if shown and not words and not axis.get_label_text():
                lacks.append(f"the label of an {axis.axis_name} axis")
    return lacks


@functools.cache
def _picture():
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A Figure that a notebook shows, also where nobody has loaded pyplot."""

        def _repr_png_(self):
            return _png(self)

    return Picture


def _figure(width, height):
    return _picture()(figsize=(width, height), layout="constrained")


def _png(fig):
    data = BytesIO()
    fig.savefig(data, format="png", dpi=120)
    return data.getvalue()


def save(fig: "Figure", path: str | os.PathLike[str]) -> None:
    """Write a Figure as PNG, whole or not at all."""
    files.replace(path, _png(fig))


def images(
    rows: Mapping[str, Any], title: str | None = None, shape: tuple[int, int] = (28, 28), columns: int = 12
) -> "Figure":
    """Rows of grey images under each other.

    rows: label -> (k, height · width) in [0, 1], of which the first `columns` are drawn;  shape: (height, width)
    """
    columns, (height, width) = min(columns, *(len(x) for x in rows.values())), shape
    gap = 2  # pixels between images
    canvas = np.zeros((len(rows) * (height + gap), columns * (width + gap)))
    for i, x in enumerate(rows.values()):
        for j in range(columns):
            top, left = i * (height + gap), j * (width + gap)
            canvas[top : top + height, left : left + width] = np.reshape(x[j], shape)
    inch = 0.55 / max(height, width)  # an image takes 0.55 inches
    names = 0.1 * max(map(len, rows)) + 0.4
    fig = _figure(
        max(inch * canvas.shape[1] + names, 0.1 * len(title or "") + 2 * names),
        inch * canvas.shape[0] + (0.4 if title else 0.1),
    )
    axis = fig.subplots()
    axis.imshow(canvas, cmap="gray_r", vmin=0, vmax=1)
    axis.set_yticks([i * (height + gap) + height / 2 for i in range(len(rows))], list(rows))
    axis.set(xticks=[], title=title)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return fig


def sheet(x: Any, title: str | None = None, shape: tuple[int, int] = (28, 28), columns: int = 12) -> "Figure":
    """All of the images x, (k, height · width) in [0, 1], so many in a row, each row with the number of its first one.

    shape: (height, width)
    """
    rows = {}
    for start in range(0, len(x), columns):
        row = np.reshape(x[start : start + columns], (-1, np.prod(shape)))
        rows[str(start + 1)] = np.pad(row, ((0, min(columns, len(x)) - len(row)), (0, 0)))
    return images(rows, title, shape, columns)


def codes(
    panels: Mapping[str, Any],
    labels: Any,
    title: str | None = None,
    columns: int = 4,
    colour_label: str | None = "class",
    names: Sequence[str] | None = None,
    axes: str = "$h_1$ $h_2$",
) -> "Figure":
    """2-D codes as points, coloured by class; the class stands at the median of its points, or near it on a line to it.

    panels: label -> (k, 2);  labels: (k,) integers from 0 on, at most ten, or other numbers, which are drawn as shades;
    or label -> (k,);  names: of the classes, in the place of their numbers;  colour_label: what the colours say, None
    for no bar of colours;  axes: the names of the two axes, with a blank between them
    """
    from matplotlib import colormaps, patheffects
    from matplotlib.colors import ListedColormap

    of = {label: np.asarray(labels[label] if isinstance(labels, dict) else labels) for label in panels}
    shades = any(each.dtype.kind == "f" for each in of.values())
    count = len(names) if names else 10
    if shades:
        low, high = min(map(np.min, of.values())), max(map(np.max, of.values()))
        style = dict(cmap="viridis", vmin=low, vmax=high)
    else:
        style = dict(cmap=ListedColormap(colormaps["tab10"](range(count))), vmin=-0.5, vmax=count - 0.5)
    across, down = min(columns, len(panels)), -(-len(panels) // columns)
    size = 5.2 if len(panels) <= 2 else 3.6
    fig = _figure(size * across + 0.4 * (down > 1), 0.92 * size * down)
    grid = fig.subplots(down, across, squeeze=False)
    for axis in grid.flat[len(panels) :]:
        axis.remove()
    halo = [patheffects.withStroke(linewidth=3, foreground="white")]
    for axis, (label, h) in zip(grid.flat, panels.items(), strict=False):
        points = axis.scatter(*h.T, c=of[label], s=4 if len(h) > 1500 else 8, linewidths=0, **style)
        axis.set(title=label, xlabel=axes.split()[0], ylabel=axes.split()[1])
        if shades:
            continue
        classes = np.unique(of[label])  # two hues of ten look alike to many eyes, so that numbers are needed
        middles = np.array([np.median(h[of[label] == one], axis=0) for one in classes])
        places = _apart(middles, np.ptp(h, axis=0), 0.2 if names else 0.075)  # words are wider than digits
        for one, middle, place in zip(classes, middles, places, strict=True):
            axis.plot(*np.transpose([middle, place]), color="black", linewidth=0.8, path_effects=halo)
            word = names[one] if names else str(one)
            text = axis.text(*place, word, fontsize=9 if names else 13, weight="bold", ha="center", va="center")
            text.set_path_effects(halo)
    if colour_label:
        bar = fig.colorbar(points, ax=fig.axes, ticks=None if shades else range(count), label=colour_label)
        if names:
            bar.set_ticklabels(list(names))
    if title:
        fig.suptitle(title, fontsize=10)
    return fig


def _apart(places, extent, least=0.075):
    """The places (k, 2), moved until no two are closer than `least` of the picture's extent (2,): pairs repel."""
    places, unit = np.array(places, dtype=float), np.where(extent > 0, extent, 1)
    for _ in range(200):
        between = (places[:, None] - places) / unit  # (k, k, 2)
        distance = np.linalg.norm(between, axis=2)
        i, j = np.nonzero(np.triu(distance < least, 1))
        if len(i) == 0:
            break
        away = between[i, j] / np.maximum(distance[i, j], 1e-9)[:, None]
        same = distance[i, j] < 1e-9  # points that coincide part in directions of their own
        away[same] = np.stack([np.cos(j[same]), np.sin(j[same])], axis=1)
        push = 0.5 * (least * 1.01 - distance[i, j])[:, None] * away * unit
        np.add.at(places, i, push)
        np.add.at(places, j, -push)
    return places


def curves(
    histories: Mapping[str, History],
    term: str = "J",
    lines: Mapping[str, float] | None = None,
    ylabel: str | None = None,
    title: str | None = None,
) -> "Figure":
    """Cost by epoch, training dashed and validation solid.

    histories: label -> History;  term: J, or a term of the cost;  lines: label -> a level, drawn across
    """
    fig = _figure(6.4, 4)
    axis = fig.subplots()
    for k, (label, history) in enumerate(histories.items()):
        epochs, color = history["epoch"], look(label, k).color
        axis.plot(epochs, history[term], "--", color=color, linewidth=1, label=f"{label}, training")
        if "validation" in history[0]:
            axis.plot(epochs, history[f"validation.{term}"], color=color, label=f"{label}, validation")
    for label, level in (lines or {}).items():
        axis.axhline(level, color="0.4", linewidth=1, linestyle=":")
        axis.annotate(label, (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    axis.set(xlabel="epoch", ylabel=ylabel or term, title=title)
    axis.xaxis.get_major_locator().set_params(integer=True)
    if len(histories) > 2:  # so many entries would lie on the curves
        fig.legend(fontsize=8, loc="outside lower center", ncols=2)
    else:
        axis.legend(fontsize=8)
    return fig


def levels(
    series: Mapping[str, Any],
    xlabel: str,
    ylabel: str,
    title: str | None = None,
    xscale: str = "linear",
    yscale: str = "linear",
    markers: Sequence[str] = (),
) -> "Figure":
    """Lines, with markers where the points are few.

    series: label -> (x, y), each (k,);  markers: labels that are drawn as points alone
    """
    fig = _figure(6.4, 4)
    axis = fig.subplots()
    for k, (label, (x, y)) in enumerate(series.items()):
        style = look(label, k)._asdict()
        if label in markers:
            style["linestyle"] = "none"
        elif len(x) > 12:
            style["marker"] = "none"
        axis.plot(x, y, **style, label=label)
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title, xscale=xscale, yscale=yscale)
    for side, scale, column in ((axis.xaxis, xscale, 0), (axis.yaxis, yscale, 1)):
        _plain_ticks(side, scale, np.concatenate([np.asarray(pair[column], dtype=float) for pair in series.values()]))
    axis.legend(fontsize=8)
    return fig


def _plain_ticks(axis, scale, values):
    """60 in place of 6 × 10¹ on a logarithmic axis of few decades, and no 1.5 between whole numbers that are few."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    if scale == "log" and values.min() >= 1e-4 and values.max() <= 1e5:
        few = values.max() < 300 * values.min()  # then 2 and 5 stand between the powers of ten
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_locator(LogLocator(subs=(2, 5) if values.max() >= 10 * values.min() else (2, 3, 5, 7)))
        axis.set_minor_formatter(StrMethodFormatter("{x:g}") if few else NullFormatter())
    elif scale == "linear" and np.ptp(values) <= 12 and (values == np.round(values)).all():
        axis.get_major_locator().set_params(integer=True)


def panels(
    panels: Mapping[str, Any],
    xlabel: str,
    ylabel: str | Sequence[str],
    title: str | None = None,
    xscale: str = "linear",
    yscale: str = "linear",
    markers: Sequence[str] = (),
    legend: int = 0,
) -> "Figure":
    """Several `levels` side by side, which have their x axis and their y axis in common, and one legend.

    panels: label -> series;  ylabel: one for all panels, or one for each, which then have y axes of their own
    legend: the panel that holds it
    """
    own = not isinstance(ylabel, str)
    fig = _figure(1 + 4.6 * len(panels), 4.2)
    row = fig.subplots(1, len(panels), sharex=True, sharey=not own, squeeze=False)[0]
    for place, (axis, (label, series)) in enumerate(zip(row, panels.items(), strict=True)):
        for k, (name, (x, y)) in enumerate(series.items()):
            style = look(name, k)._asdict()
            if name in markers:
                style["linestyle"] = "none"
            elif len(x) > 12:
                style["marker"] = "none"
            axis.plot(x, y, **style, label=name)
        axis.set(title=label, xlabel=xlabel, xscale=xscale, yscale=yscale)
        if own or place == 0:
            axis.set_ylabel(ylabel[place] if own else ylabel)
    if len({name for series in panels.values() for name in series}) > 4:  # so many entries would lie on the lines
        fig.legend(*row[legend].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=3)
    else:
        row[legend].legend(fontsize=8)
    if title:
        fig.suptitle(title)
    return fig


def fields(panels: Mapping[str, Any], points: Any, title: str | None = None, faint: Any = None) -> "Figure":
    """Vector fields in the plane.     panels: label -> (places, vectors), both (k, 2);  points: (k, 2), drawn below;
    faint: (k,) of bool, the arrows that are drawn in grey."""
    across, along = np.ptp(points, axis=0) + 1
    fig = _figure(5.2 * len(panels), 1.2 + 5.2 * min(1, along / across))
    for axis, (label, (places, vectors)) in zip(
        fig.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        axis.scatter(*np.transpose(points), s=3, color="0.75", linewidths=0, label="data")
        color = BLUE if faint is None else np.where(faint, "0.7", BLUE)
        axis.quiver(*places.T, *vectors.T, angles="xy", scale_units="xy", scale=1, width=0.003, color=color)
        axis.set(title=label, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    if title:
        fig.suptitle(title, fontsize=10)
    return fig


def clouds(panels: Mapping[str, Any], points: Any, title: str | None = None) -> "Figure":
    """Clouds of points in the plane, on the same axes.     panels: label -> (k, 2);  points: (k, 2), drawn below."""
    fig = _figure(4.4 * len(panels), 4.8)
    row = fig.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    for axis, (label, x) in zip(row, panels.items(), strict=True):
        axis.scatter(*np.transpose(points), s=3, color="0.75", linewidths=0)
        axis.scatter(*np.transpose(x), s=7, color=BLUE, linewidths=0)
        axis.set(title=label, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
        axis.tick_params(labelleft=True)
    if title:
        fig.suptitle(title, fontsize=10)
    return fig


def plane(
    points: Any,
    title: str | None = None,
    edges: Any = None,
    thumbnails: Mapping[int, Any] | None = None,
    shape: tuple[int, int] = (28, 28),
    labels: tuple[str, str] = ("$x_1$", "$x_2$"),
    words: Sequence[str] = (),
) -> "Figure":
    """Points of the plane, (k, 2).

    edges: (e, 2) pairs of indices;  thumbnails: index -> image, drawn at the point;  words: one beside each point
    """
    from matplotlib.collections import LineCollection
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    fig = _figure(7.2, 6.0)
    axis = fig.subplots()
    if edges is not None:
        axis.add_collection(LineCollection(points[edges], colors="0.75", linewidths=0.6))
    axis.scatter(*points.T, s=6, color=RED, linewidths=0, zorder=2)
    for index, image in (thumbnails or {}).items():
        picture = OffsetImage(np.reshape(image, shape), cmap="gray_r", zoom=1.0)
        axis.add_artist(AnnotationBbox(picture, points[index], pad=0.1, bboxprops=dict(linewidth=0.4)))
    for point, word in zip(points, words, strict=False):
        axis.annotate(word, point, xytext=(5, 3), textcoords="offset points", fontsize=9)
    if words:
        axis.margins(x=0.16, y=0.1)
    axis.set(title=title, xlabel=labels[0], ylabel=labels[1])
    axis.title.set_fontsize(10)
    return fig


def paths(
    panels: Mapping[str, Any], title: str | None = None, labels: tuple[str, str] = ("$x_1$", "$x_2$")
) -> "Figure":
    """Walks through the plane: each a line with a ring where it starts and a full marker where it ends.

    panels: label -> {method: list of walks (steps, 2)}, with axes of their own
    """
    fig = _figure(0.6 + 5.2 * len(panels), 4.8)
    row = fig.subplots(1, len(panels), squeeze=False)[0]
    for axis, (panel, groups) in zip(row, panels.items(), strict=True):
        for k, (label, walks) in enumerate(groups.items()):
            style = look(label, k)
            for walk in walks:
                axis.plot(*walk.T, color=style.color, linestyle=style.linestyle, linewidth=0.9)
                axis.plot(*walk[0], color=style.color, marker="o", markersize=6, fillstyle="none", linestyle="none")
                axis.plot(*walk[-1], color=style.color, marker=style.marker, markersize=8, linestyle="none")
            axis.plot([], [], **style._asdict(), label=label)
        axis.set(title=panel, xlabel=labels[0], ylabel=labels[1])
    row[0].legend(fontsize=8)
    if title:
        fig.suptitle(title)
    return fig


def shade(share: float) -> tuple[float, float, float]:
    """A colour for a share between 0, white, and 1, a light blue on which black words can be read."""
    return (1 - 0.55 * share, 1 - 0.3 * share, 1.0)


def gaussians(points: Any, panels: Mapping[str, Any], title: str | None = None) -> "Figure":
    """Gaussians around points of the plane (k, 2), as ellipses of one standard deviation.

    panels: label -> covariances (k, 2, 2)
    """
    from matplotlib.collections import EllipseCollection

    reach = np.sqrt([np.diagonal(covariance, axis1=1, axis2=2) for covariance in panels.values()])  # of each ellipse
    low, high = (points - reach).min(axis=(0, 1)), (points + reach).max(axis=(0, 1))
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    across, along = high - low
    fig = _figure(4.6 * len(panels), 1.1 + 4.2 * along / across)
    axes = fig.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axis, (label, covariance) in zip(axes, panels.items(), strict=True):
        variance, vectors = np.linalg.eigh(covariance)  # ascending: the last column is the long axis
        width, height = 2 * np.sqrt(variance[:, 1]), 2 * np.sqrt(variance[:, 0])
        angle = np.degrees(np.arctan2(vectors[:, 1, 1], vectors[:, 0, 1]))
        options = dict(units="xy", offsets=points, offset_transform=axis.transData, facecolors="none", edgecolors=BLUE)
        axis.add_collection(EllipseCollection(width, height, angle, **options))
        axis.scatter(*points.T, s=6, color=RED, linewidths=0, zorder=2)
        axis.set(title=label, xlabel="$x_1$", xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes[0].set_ylabel("$x_2$")
    if title:
        fig.suptitle(title, fontsize=10)
    return fig


def table(
    rows: Mapping[str, Any],
    colours: Mapping[Any, Any],
    framed: Any = (),
    title: str | None = None,
    key: Mapping[str, str] | None = None,
    width: float | None = None,
) -> "Figure":
    """Words in a grid.     rows: label -> {column: word};  colours: word, or (label, column) -> colour;
    framed: (label, column) pairs;  key: word -> what it means, written below the grid;  width: of all, in inches."""
    from matplotlib.patches import Patch

    columns = list(next(iter(rows.values())))
    fig = _figure(width or 1.1 * len(columns) + 4.2, 0.27 * (len(rows) + len(key or ())) + 0.9)
    axis = fig.subplots()
    for i, (label, row) in enumerate(rows.items()):
        for j, column in enumerate(columns):
            frame = (label, column) in framed
            edge = dict(edgecolor="black" if frame else "white", linewidth=1.5, zorder=2 if frame else 1)
            colour = colours.get((label, column)) or colours[row[column]]
            axis.bar(j, 0.86, width=0.94, bottom=i - 0.43, facecolor=colour, **edge)
            axis.text(j, i, row[column], ha="center", va="center", fontsize=8, zorder=3)
    axis.set(xlim=(-0.55, len(columns) - 0.45), ylim=(len(rows) - 0.4, -0.6), title=title)
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(rows)), rows, fontsize=9)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    if key:
        patches = [Patch(color=colours.get(word, "white"), label=f"{word}: {text}") for word, text in key.items()]
        fig.legend(handles=patches, fontsize=8, loc="outside lower left", frameon=False)
    return fig


def heat(panels: Mapping[str, Any], ylabel: str, colour_label: str, title: str | None = None) -> "Figure":
    """Tables of numbers between 0, white, and 1, black.     panels: label -> (columns' names, (rows, columns))"""
    fig = _figure(1.2 + 1.75 * len(panels), 3.9)
    row = fig.subplots(1, len(panels), squeeze=False)[0]
    for axis, (label, (names, numbers)) in zip(row, panels.items(), strict=True):
        drawn = axis.imshow(numbers, cmap="gray_r", vmin=0, vmax=1, aspect="auto")
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=9)
        axis.set_yticks(range(0, len(numbers), 2), [str(1 + j) for j in range(0, len(numbers), 2)], fontsize=8)
        axis.set(title=label, ylabel=ylabel if axis is row[0] else None)
        axis.title.set_fontsize(9)
    fig.colorbar(drawn, ax=row, label=colour_label, pad=0.01)
    if title:
        fig.suptitle(title, fontsize=10)
    return fig


def spectrograms(
    panels: Mapping[str, Any], bands: Any, step: float, colour_label: str, title: str | None = None, columns: int = 3
) -> "Figure":
    """Sounds as pictures, strong is dark.     panels: label -> (T, bands) numbers ≥ 0;  bands: their frequencies in Hz;
    step: seconds a frame"""
    columns = min(columns, len(panels))
    rows, longest = -(-len(panels) // columns), step * max(len(x) for x in panels.values())
    fig = _figure(3.1 * columns + 0.9, 2.3 * rows + 0.5)
    grid = fig.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    top, ticks = max(x.max() for x in panels.values()), np.linspace(0, len(bands) - 1, 6).round().astype(int)
    for axis in grid.flat[len(panels) :]:
        axis.set_visible(False)
    for k, (axis, (label, x)) in enumerate(zip(grid.flat, panels.items(), strict=False)):
        extent = (0, step * len(x), -0.5, len(bands) - 0.5)
        drawn = axis.imshow(x.T, cmap="gray_r", vmin=0, vmax=top, aspect="auto", origin="lower", extent=extent)
        axis.set_yticks(ticks, [f"{bands[j]:.0f}" for j in ticks], fontsize=8)
        axis.set(title=label, xlim=(0, longest))
        axis.title.set_fontsize(9)
        if k % columns == 0:
            axis.set_ylabel("frequency, Hz")
        if k + columns >= len(panels):
            axis.set_xlabel("time, seconds")
            axis.tick_params(labelbottom=True)
    fig.colorbar(drawn, ax=grid, label=colour_label, pad=0.01)
    if title:
        fig.suptitle(title, fontsize=10)
    return fig


def polygons(
    panels: Mapping[str, Any],
    values: Mapping[str, Any],
    title: str | None = None,
    colour_label: str | None = "value",
    words: Mapping[str, Any] | None = None,
    columns: int = 3,
) -> "Figure":
    """The plane cut into polygons, each filled by a value.

    panels: label -> list of (k, 2);  values: label -> one number for each polygon, on one scale from blue to red
    words: label -> what is written into each polygon
    """
    from matplotlib import patheffects
    from matplotlib.collections import PolyCollection

    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    fig = _figure(3.3 * columns + 0.9, 3.3 * rows + 0.9)
    grid = fig.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    most = max(max(abs(number) for number in values[label]) for label in panels)
    for axis in grid.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (label, parts) in zip(grid.flat, panels.items(), strict=False):
        drawn = PolyCollection(parts, array=np.asarray(values[label]), cmap="RdBu_r", edgecolors="0.25", linewidths=0.3)
        drawn.set_clim(-most, most)
        axis.add_collection(drawn)
        for polygon, word in zip(parts, (words or {}).get(label, ()), strict=False):
            text = axis.text(*polygon.mean(axis=0), word, ha="center", va="center", fontsize=8)
            text.set_path_effects([patheffects.withStroke(linewidth=3, foreground="white")])
        axis.autoscale_view()
        axis.set(title=label, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
        axis.title.set_fontsize(9)
    if colour_label:
        fig.colorbar(drawn, ax=grid, label=colour_label, shrink=0.8)
    if title:
        fig.suptitle(title, fontsize=10)
    return fig


def bars(values: Mapping[str, Any], xlabel: str, title: str | None = None) -> "Figure":
    """One horizontal bar for each number.     values: label -> number"""
    fig = _figure(6.4, 0.4 * len(values) + 1.0)
    axis = fig.subplots()
    for k, (label, value) in enumerate(values.items()):
        axis.barh(k, value, color=look(label, k).color, height=0.6)
        axis.text(value, k, f" {value:.3g}", va="center", fontsize=8)
    axis.set_yticks(range(len(values)), list(values), fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.12)
    axis.set(xlabel=xlabel, title=title)
    axis.title.set_fontsize(10)
    return fig


__all__ = ["METHODS", "bars", "clouds", "codes", "curves", "fields", "gaussians", "heat", "images", "levels", "look",
           "panels", "paths", "plane", "polygons", "save", "sheet", "spectrograms", "table"]  # fmt: skip
