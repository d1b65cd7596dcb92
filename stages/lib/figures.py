"""Numbers and images -> pictures (PNG).

Same numbers, same bytes: matplotlib's own defaults and fonts whatever the user has configured, and
no date or version in the file. What is wrong is marked by shape as well as colour; the colours are
Okabe and Ito's, which colour-blind people can tell apart.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stages.lib import files, scoring
from stages.lib.scoring import CALIBRATION_BINS
from stages.lib.splits import CLASSES

BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#6E6E6E"
COLOURS = {"linear": VERMILLION, "hidden": BLUE}
MARKERS = {"linear": "s", "hidden": "o"}
WRONG = " ✗"
COLUMNS = 8
# Inches: an image, the space between two, a line of text, the text around an image, the title.
TILE, GAP, LINE, CAPTION, HEADING = 1.1, 0.15, 0.18, 0.75, 0.45
DOTS_PER_INCH = 100


class Tile(NamedTuple):
    """A place for an image, `left` and `top` in inches."""

    axes: Axes
    left: float
    top: float

    def draw(self, pixels: np.ndarray, above: str, below: list[str]) -> None:
        """Draw the image, float32 (pixels,), with a line above it and lines below.

        Lines that end in WRONG stand out, and so does the image's frame if there is one.
        """
        side = round(len(pixels) ** 0.5)
        wrong = [line.endswith(WRONG) for line in below]
        colour, thickness = (VERMILLION, 3.0) if any(wrong) else (GREY, 0.8)
        left, right, top = self.left, self.left + TILE, self.top + LINE
        self.axes.imshow(
            pixels.reshape(side, side),
            extent=(left, right, top + TILE, top),
            cmap="gray_r",
            vmin=0,
            vmax=1,
            aspect="auto",
        )
        self.axes.add_patch(
            Rectangle((left, top), TILE, TILE, fill=False, color=colour, linewidth=thickness)
        )
        middle = (left + right) / 2
        self.axes.text(middle, top - 0.06, above, ha="center", va="bottom", fontsize=10)
        for number, line in enumerate(below):
            self.axes.text(
                middle,
                top + TILE + 0.06 + number * LINE,
                line,
                ha="center",
                va="top",
                fontsize=10,
                color=VERMILLION if wrong[number] else "black",
            )


def examples(
    path: Path, images: np.ndarray, labels: np.ndarray, predictions: Mapping[str, np.ndarray]
) -> None:
    """Draw images float32 (n, pixels) with label and each model's prediction, uint8 (n,) each."""
    with _grid(path, len(images), "Test images: label, and what each model says") as tiles:
        for row, tile in enumerate(tiles):
            said = {name: predicted[row] for name, predicted in predictions.items()}
            lines = [
                f"{name} {digit}{'' if digit == labels[row] else WRONG}"
                for name, digit in said.items()
            ]
            tile.draw(images[row], f"label {labels[row]}", lines)


def confidently_wrong(
    path: Path, name: str, images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray
) -> None:
    """Draw the three rows of wrongly recognised images that the model is surest of.

    Takes images float32 (n, pixels), labels uint8 (n,), probabilities float64 (n, 10).
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][: 3 * COLUMNS]
    title = f"{name.capitalize()} model: surest mistakes ({len(worst)} of {len(wrong)})"
    with _grid(path, len(worst), title) as tiles:
        for row, tile in zip(worst, tiles, strict=True):
            lines = [f"says {predicted[row]}{WRONG}", f"{confidence[row]:.2%} sure"]
            tile.draw(images[row], f"label {labels[row]}", lines)


def confusion(path: Path, name: str, counts: np.ndarray) -> None:
    """Draw a confusion matrix, int (10, 10): shade = share of the row (label), number = count."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with _figure(path, 7.6, 6.4) as figure:
        axes = figure.subplots()
        shades = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (label, prediction), count in np.ndenumerate(counts):
            dark = shares[label, prediction] > 0.5
            colour = "white" if dark else "black" if count else "#B0B0B0"
            axes.text(
                prediction, label, str(count), ha="center", va="center", color=colour, fontsize=10
            )
        axes.set(
            title=f"{name.capitalize()} model: predictions against labels",
            xlabel="prediction",
            ylabel="label",
            xticks=range(CLASSES),
            yticks=range(CLASSES),
        )
        figure.colorbar(shades, label="share of the label's images", fraction=0.046, pad=0.03)


def weights(path: Path, name: str, kernel: np.ndarray) -> None:
    """Draw the weights of a single dense layer, float32 (pixels, 10), as an image per digit."""
    side = round(kernel.shape[0] ** 0.5)
    limit = float(np.abs(kernel).max())
    with _figure(path, 10, 4.6) as figure:
        tiles = figure.subplots(2, CLASSES // 2)
        for digit, axes in enumerate(tiles.flat):
            shades = axes.imshow(
                kernel[:, digit].reshape(side, side), cmap="RdBu_r", vmin=-limit, vmax=limit
            )
            axes.set(title=str(digit), xticks=[], yticks=[])
        figure.colorbar(
            shades, ax=tiles, label="weight (red for the digit, blue against)", pad=0.02
        )
        figure.suptitle(f"{name.capitalize()} model: the weight of each pixel, digit by digit")
        figure.supxlabel("pixel column")
        figure.supylabel("pixel row")


def reliability(path: Path, probabilities: Mapping[str, np.ndarray], labels: np.ndarray) -> None:
    """Draw how often each model is right when it is so sure, and how many images that is.

    Takes probabilities float64 (n, 10) per model and labels uint8 (n,).
    """
    with _figure(path, 7, 7) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfectly calibrated")
        edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
        for name, classes in probabilities.items():
            counts, confidence, accuracy = scoring.reliability(classes, labels)
            error = scoring.calibration_error(classes, labels)
            look = {"color": COLOURS[name], "marker": MARKERS[name]}
            filled = counts > 0
            upper.plot(
                confidence[filled],
                accuracy[filled],
                label=f"{name} (calibration error {error:.4f})",
                **look,
            )
            lower.plot(
                ((edges[:-1] + edges[1:]) / 2)[filled], counts[filled], linestyle=":", **look
            )
        upper.set(
            title="How far the models' confidence can be trusted", ylabel="accuracy", ylim=(0, 1.02)
        )
        upper.legend(loc="upper left")
        lower.set(xlabel="confidence", ylabel="images", yscale="log", xlim=(0, 1.02))
        for axes in (upper, lower):
            axes.grid(color="#E0E0E0")


@contextmanager
def _figure(
    path: Path, width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> Iterator[Figure]:
    """A figure of that many inches, written to `path` at the end."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"font.size": 11, "axes.titlesize": 13, "figure.titlesize": 14})
        figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout=layout)
        yield figure
        with files.atomic(path) as file:
            figure.savefig(file, format="png", metadata={"Software": None})


@contextmanager
def _grid(path: Path, count: int, title: str) -> Iterator[Iterator[Tile]]:
    """`count` tiles in rows of COLUMNS under a title.

    One pair of axes in inches for all of them: a pair for each would take seconds to draw.
    """
    rows = max(1, -(-count // COLUMNS))
    width, height = GAP + COLUMNS * (TILE + GAP), HEADING + rows * (TILE + CAPTION)
    with _figure(path, width, height, layout=None) as figure:
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        axes.text(width / 2, HEADING / 2, title, ha="center", va="center", fontsize=14)
        yield (
            Tile(
                axes,
                GAP + (index % COLUMNS) * (TILE + GAP),
                HEADING + (index // COLUMNS) * (TILE + CAPTION),
            )
            for index in range(count)
        )
