"""Draw predictions and images as figures: the bytes of PNG files."""

import io
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.patches import Rectangle

from digits import metrics
from digits.data import Dataset
from digits.metrics import Predictions

# Mistakes are marked by shape as well as color. Color-blind people can tell these colors, Okabe and
# Ito's, apart.
VERMILLION, GRAY = "#D55E00", "#6E6E6E"
# Each model has a color and a marker, in the order of the models.
COLORS = (VERMILLION, "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("s", "o", "^", "D", "v", "P")
WRONG = " ✗"
COLUMNS = 8
# A confusion matrix of more labels has no numbers: they would be too small to read. Weights are
# drawn for as many labels.
MAX_CELLS = 52
# The darkest shade of a confusion matrix, in % of a label's images.
DARKEST = 10
# A confusion matrix leaves out all further labels.
MAX_LABELS = 1000
# Inches: an image, the space between two, a letter, a line, a line above with space, the title.
TILE, GAP, LETTER, LINE, CAPTION, HEADING = 1.1, 0.15, 0.083, 0.18, 0.39, 0.45
DOTS_PER_INCH = 100


def examples(
    dataset: Dataset, images: np.ndarray, predicted: Mapping[str, Predictions], count: int
) -> bytes:
    """Draw the first `count` test images, float32 (n, ...), with label and predictions."""
    names, labels = dataset.labels, next(iter(predicted.values())).labels[:count]
    captions = [[f"label {names[label]}"] for label in labels]
    for name, model in predicted.items():
        for row, lines in enumerate(captions):
            mark = "" if model.correct[row] else WRONG
            lines.append(f"{name} {names[model.predicted[row]]}{mark}")
    title = f"{dataset.name}, test images: label, and the prediction of each model"
    return _grid(title, images[:count], captions)


def mistakes(dataset: Dataset, name: str, images: np.ndarray, predictions: Predictions) -> bytes:
    """Draw the mistakes of which the model is most confident, three rows of test images."""
    wrong, names = np.flatnonzero(~predictions.correct), dataset.labels
    most_confident = np.argsort(-predictions.confidence[wrong], kind="stable")
    worst = wrong[most_confident][: 3 * COLUMNS]
    captions = [
        [
            f"#{row}: label {names[predictions.labels[row]]}",
            f"predicted {names[predictions.predicted[row]]}{WRONG}",
            percent(predictions.confidence[row]),
        ]
        for row in worst
    ]
    shown = f"most confident mistakes ({len(worst)} of {len(wrong)}), with confidence"
    return _grid(f"{dataset.name}, {name} model: {shown}", images[worst], captions)


def percent(fraction: float) -> str:
    """Format a fraction as a percentage, rounded down: only 1 itself is 100%."""
    return f"{np.floor(fraction * 1e4) / 100:.2f}%"


def confusion(dataset: Dataset, name: str, predictions: Predictions) -> bytes:
    """Draw a confusion matrix: image counts, shaded by mistakes as a fraction of the label's.

    The shades are the same for all models, so that two figures compare side by side. They follow
    the square root, which tells 0.5% from 1% and 5% from 10%; from DARKEST on, they are equal.
    """
    count = min(len(dataset.labels), MAX_LABELS)
    cells = predictions.labels.astype(np.int64) * count + predictions.predicted
    drawn = np.maximum(predictions.labels, predictions.predicted) < count
    counts = np.bincount(cells[drawn], minlength=count**2).reshape(count, count)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # The diagonal, 20 times larger, would leave no shade for the mistakes.
    wrong = np.ma.masked_array(fractions, mask=np.eye(count, dtype=bool))
    scale = PowerNorm(0.5, vmin=0, vmax=DARKEST, clip=True)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        shades = axes.imshow(wrong * 100, cmap="Oranges", norm=scale)
        axes.set_facecolor("#E8EEF2")
        for (row, column), images in np.ndenumerate(counts if count <= MAX_CELLS else []):
            dark = row != column and scale(100 * fractions[row, column]) > 0.6
            color = "white" if dark else "black" if images else "#B0B0B0"
            text = axes.text(column, row, str(images), color=color, ha="center", va="center")
            text.set(fontsize=10, fontweight="bold" if row == column else "normal")
            # Measuring every text is slow, and none leaves the axes.
            text.set_in_layout(False)
        total, mistakes = len(predictions.labels), np.sum(~predictions.correct)
        title = f"{dataset.name}, {name} model: {mistakes:,} mistakes in {total:,} test images"
        left_out = f" ({total - np.sum(drawn):,} left out)" if not drawn.all() else ""
        axes.set(title=title + left_out, xlabel="prediction", ylabel="label")
        long = max(map(len, dataset.labels)) > 2
        if count <= MAX_CELLS:
            axes.set_xticks(range(count), dataset.labels, rotation=90 if long else 0)
            axes.set_yticks(range(count), dataset.labels)
        label = "mistakes, in % of the label's images"
        bar = figure.colorbar(shades, label=label, fraction=0.046, pad=0.03, extend="max")
        ticks = (0, 0.1, 0.5, 1, 2, 5, DARKEST)
        bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])

    size = max(1, count / 13) if count <= MAX_CELLS else 2
    return _png(draw, 7.6 * size, 6.4 * size)


def weights(dataset: Dataset, name: str, kernel: np.ndarray) -> bytes:
    """Draw the weights of a single dense layer, float32 (pixels, labels), an image per label."""
    images = kernel.T.reshape(-1, *dataset.shape)
    # The mean over the channels of an image in color.
    images = images.reshape(*images.shape[:3], -1).mean(axis=-1)[:MAX_CELLS]
    limit = float(np.abs(kernel).max())
    columns = 5 if len(images) <= 10 else 9
    rows = -(-len(images) // columns)

    def draw(figure: Figure) -> None:
        tiles = figure.subplots(rows, columns, squeeze=False)
        for axes in tiles.flat:
            axes.set_axis_off()
        for image, label, axes in zip(images, dataset.labels, tiles.flat, strict=False):
            shades = axes.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit)
            axes.set_axis_on()
            axes.set(title=label, xticks=[], yticks=[])
        legend = "weight (red for the label, blue against)"
        figure.colorbar(shades, ax=tiles, label=legend, pad=0.02)
        few = len(dataset.labels) <= MAX_CELLS
        which = "each label" if few else f"the first {MAX_CELLS} labels"
        figure.suptitle(f"{dataset.name}, {name} model: the weight of each pixel for {which}")
        figure.supxlabel("pixel column")
        figure.supylabel("pixel row")

    return _png(draw, 10, rows * (8.5 / columns + 0.3) + 0.6)


def reliability(dataset: Dataset, predicted: Mapping[str, Predictions]) -> bytes:
    """Draw each model's accuracy at each confidence, with 95% intervals, and the image counts."""

    def draw(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        for axes in (upper, lower):
            axes.set_prop_cycle(color=COLORS, marker=MARKERS)
            axes.grid(color="#E0E0E0")
        diagonal = {"color": GRAY, "linestyle": "--", "marker": ""}
        upper.plot([0, 1], [0, 1], label="perfectly calibrated", **diagonal)
        for name, model in predicted.items():
            bins = model.reliability
            filled = bins.counts > 0
            counts, accuracy = bins.counts[filled], bins.accuracy[filled]
            low, high = metrics.proportion_ci95(accuracy * counts, counts)
            error = metrics.calibration_error(bins)
            upper.errorbar(
                bins.confidence[filled],
                accuracy,
                yerr=np.maximum((accuracy - low, high - accuracy), 0),
                capsize=3,
                label=f"{name} (calibration error {error:.4f})",
            )
            lower.plot(bins.confidence[filled], counts, linestyle=":")
        title = f"{dataset.name}, test images: accuracy at each confidence, with 95% intervals"
        upper.set(title=title, ylabel="accuracy", ylim=(0, 1.02))
        upper.legend(loc="lower right")
        lower.set(xlabel="confidence", ylabel="images", yscale="log", xlim=(0, 1.02))

    return _png(draw, 7, 7)


def _grid(title: str, images: np.ndarray, captions: Sequence[Sequence[str]]) -> bytes:
    """Draw images float32 (n, ...) in rows of COLUMNS, each with a line above and lines below.

    Lines that end in WRONG stand out, and so does the frame of their image.
    """
    longest = max(map(len, chain(*captions)), default=0)
    gap = max(GAP, LETTER * longest - TILE)
    step = TILE + CAPTION + LINE * (max(map(len, captions), default=1) - 1)
    rows = max(1, -(-len(images) // COLUMNS))
    width, height = gap + COLUMNS * (TILE + gap), HEADING + rows * step

    def draw(figure: Figure) -> None:
        figure.set_layout_engine(None)
        # One pair of axes, in inches, for all images: a pair for each would take seconds.
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        axes.text(width / 2, HEADING / 2, title, ha="center", va="center", fontsize=14)
        for number, (image, (above, *below)) in enumerate(zip(images, captions, strict=True)):
            left = gap + (number % COLUMNS) * (TILE + gap)
            top = HEADING + (number // COLUMNS) * step + LINE
            down, across = np.array(image.shape[:2]) * TILE / max(image.shape[:2])
            extent = (left, left + across, top + down, top)
            pixels = _drawable(image)
            axes.imshow(pixels, extent=extent, cmap="gray_r", vmin=0, vmax=1, aspect="auto")
            wrong = any(line.endswith(WRONG) for line in below)
            color, line = (VERMILLION, 3.0) if wrong else (GRAY, 0.8)
            axes.add_patch(Rectangle((left, top), across, down, fill=False, color=color, lw=line))
            middle = left + TILE / 2
            axes.text(middle, top - 0.06, above, ha="center", va="bottom", fontsize=10)
            for row, text in enumerate(below):
                color = VERMILLION if text.endswith(WRONG) else "black"
                y = top + TILE + 0.06 + row * LINE
                axes.text(middle, y, text, ha="center", va="top", fontsize=10, color=color)

    return _png(draw, width, height)


def _drawable(image: np.ndarray) -> np.ndarray:
    """Return an image with the three channels of a color, or with none."""
    return image if image.ndim == 2 or image.shape[2] == 3 else image.mean(axis=2)


# The fonts that matplotlib ships, whatever a cache in the home folder says.
fontManager.ttflist[:] = [font for font in fontManager.ttflist if font.name != "DejaVu Sans"]
for file in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"):
    fontManager.addfont(Path(matplotlib.get_data_path()) / "fonts/ttf" / file)


def _png(draw: Callable[[Figure], None], width: float, height: float) -> bytes:
    """Return a figure of that many inches, drawn by `draw`."""
    content = io.BytesIO()
    # The same numbers give the same bytes: matplotlib's own defaults and fonts are used, whatever
    # the user has configured, and no date or version is in the file.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"font.size": 11, "axes.titlesize": 13, "figure.titlesize": 14})
        matplotlib.rcParams["lines.markersize"] = 5
        figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
        draw(figure)
        for axes in figure.axes:
            axes.title.set_wrap(True)
        figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
