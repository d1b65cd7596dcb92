"""Find a digit's ink, apart from paper, shadows, desk, boxes and ruled lines."""

import numpy as np
from PIL import Image
from scipy import ndimage

from digits.plumbing.errors import UserError

# Strokes are narrower than this fraction of the picture's longer side; most shadows are wider.
MAX_STROKE = 0.23
# The longer side, in pixels, of the copy in which dark ink is told from light ink, and the price
# of a pixel of ink in it, if an edge of the paper costs 1.
SMALL_SIDE, INK_COST = 48, 0.2
# The least contrast of ink, as a fraction of the paper's brightness or of DARK_PAPER.
MIN_CONTRAST, DARK_PAPER = 0.08, 100
# Inside strokes, ink has more than this fraction of this quantile of the contrast: what is darker
# still may be dirt or a button.
STRONG, STRONGEST = 0.6, 0.998
# The least fraction of the pixels that are paper.
MIN_PAPER = 0.4
# The greatest fraction of the pixels around a piece of ink that are as dark as the ink.
MAX_DARK = 0.2

# How bold a digit may be: half the thickness of its thickest part times the area of its ink, by the
# square of its height and by the sum of height and width. Labels are bolder, and 5 of 2,000 of
# tests/photographs.py. Labels in a row have this fraction of the tallest one's height, or more.
MAX_BOLD, MIN_LABEL = 0.06, 0.8

# A frame holds a piece of this fraction of its height.
MIN_FRAMED = 0.3
# Ruled lines: how far a page may be tilted, in degrees; the least fraction of the page that they
# cross; their greatest width as a fraction of the picture's longer side.
ANGLES = np.arange(-8, 8.01, 0.25)
MIN_RULE, MAX_WIDTH = 0.67, 0.03
# Smaller pieces, as a fraction of the longest, are specks.
MIN_PIECE = 0.08

EIGHT_CONNECTED = np.ones((3, 3))
NO_DIGIT = "no digit found; show one, dark on light or light on dark, with paper around it"


def find(brightness: np.ndarray) -> np.ndarray:
    """Return the contrast of ink with its paper: float32 (height, width), 0 where there is no ink.

    Take brightness, float32 (height, width) in 0..255. The result may be cropped to the ink, and
    turned by some degrees so that ruled lines are level. Raises UserError if there is no ink.
    """
    contrast = _contrast(brightness)
    # Paler pixels may join a frame to what it holds.
    numbers, boxes = pieces(contrast > strength(contrast) / 4)
    # The tallest pieces may be labels with digits on them, or a marker's stripe over digits.
    heights = np.ptp(boxes[:, 0], axis=1)
    tall = boxes[heights >= MIN_LABEL * heights.max(initial=0)]
    labels = [tuple(slice(*side) for side in box) for box in tall]
    mask, deep = numbers > 0, ndimage.distance_transform_cdt(np.pad(numbers, 1))[1:-1, 1:-1]
    bold = [deep[a].max() * mask[a].sum() / len(mask[a]) ** 2 / sum(mask[a].shape) for a in labels]
    if max(bold, default=0) > MAX_BOLD:
        contrast = np.zeros_like(contrast)
        for label in labels:
            pixels, inside = brightness[label], _contrast(brightness[label])
            # Ink that is as bright as the label is a part of the label.
            brighter = np.sum(inside * (pixels - np.median(pixels[mask[label]])))
            if abs(brighter) > MIN_CONTRAST * DARK_PAPER * np.sum(inside):
                contrast[label] = inside
        numbers, boxes = pieces(contrast > strength(contrast) / 4)
    # Frames come first, since a large one is as long as a ruled line.
    ink = _without_frames(contrast, numbers, boxes)
    # Most pictures have no ruled lines.
    if max(np.divide(crop(ink).shape, ink.shape)) >= MIN_RULE:
        ink = _without_rules(ink)
    return crop(ink)


def _contrast(brightness: np.ndarray) -> np.ndarray:
    smooth = ndimage.gaussian_filter(brightness, 0.7)
    image = Image.fromarray(smooth)
    image.thumbnail((SMALL_SIDE, SMALL_SIDE), Image.Resampling.BOX)
    if _cost(np.asarray(image)) > _cost(255 - np.asarray(image)):
        smooth = 255 - smooth
    reach = MAX_STROKE * max(smooth.shape) / 2
    contrast = _darker(smooth, reach)
    # A band of shadow is less dark than ink, and mostly wider than its strokes.
    strokes = np.pad(contrast > STRONG * np.quantile(contrast, STRONGEST), 1)
    return _darker(smooth, min(reach, 1.5 * ndimage.distance_transform_cdt(strokes).max() + 2))


def _darker(smooth: np.ndarray, reach: float) -> np.ndarray:
    """Return the contrast of ink whose strokes are at most 2 * `reach` wide."""
    paper = _paper(smooth, reach)
    darker = paper - smooth - np.quantile(paper - smooth, MIN_PAPER)
    # In a shadow, ink and paper are darker by the same fraction.
    contrast = darker / np.maximum(paper, DARK_PAPER)
    mask = contrast > MIN_CONTRAST
    # Ink has paper on all sides; a shadow between two lights has not.
    pieces, count = ndimage.label(mask, EIGHT_CONNECTED)
    halfway = ndimage.minimum(smooth + darker / 2, pieces, range(count + 1))
    around = np.where(mask, 0, ndimage.maximum_filter(pieces, 7)).ravel()
    dark = np.bincount(around, smooth.ravel() < halfway[around], count + 1)
    is_ink = dark < MAX_DARK * np.bincount(around, minlength=count + 1)
    return np.where(mask & is_ink[pieces], contrast, 0)


def _paper(brightness: np.ndarray, reach: float) -> np.ndarray:
    """Return the brightness of the paper if there were no ink, given that ink is dark."""
    # Closing fills strokes. It keeps the edges of shadows, and all that goes on past the picture.
    n = max(1, round(reach))
    closed = ndimage.grey_closing(np.pad(brightness, n, "edge"), (2 * n + 1,) * 2, mode="nearest")
    return np.asarray(closed[n:-n, n:-n])


def _cost(brightness: np.ndarray) -> float:
    """Return how many edges of the paper and how much dark ink it takes to explain a picture."""
    paper = _paper(brightness, MAX_STROKE * max(brightness.shape) / 2)
    edges = sum(np.abs(np.diff(paper, axis=axis)).sum() for axis in (0, 1))
    return float(edges + INK_COST * np.sum(paper - brightness))


def _without_frames(contrast: np.ndarray, numbers: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Remove the pieces that hold a large one."""
    starts, stops = boxes[..., 0], boxes[..., 1]
    outside = (starts[:, np.newaxis] <= starts) & (stops[:, np.newaxis] >= stops)
    heights = np.ptp(boxes[:, 0], axis=1)
    holds = outside.all(axis=2) & (heights >= MIN_FRAMED * heights[:, np.newaxis])
    # Each piece holds itself.
    frames = np.isin(numbers - 1, np.flatnonzero(holds.sum(axis=1) > 1))
    return np.asarray(np.where(ndimage.maximum_filter(frames, 5), 0, contrast))


def pieces(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of the piece at each pixel, and the boxes of pieces, the largest first.

    Numbers are int (height, width), 0 for paper and specks. Boxes are int (n, 2, 2).
    """
    labels, count = ndimage.label(mask, EIGHT_CONNECTED)
    # Start and stop of rows and columns.
    slices = ndimage.find_objects(labels)
    boxes = np.array([[(s.start, s.stop) for s in box] for box in slices]).reshape(-1, 2, 2)
    sides = np.ptp(boxes, axis=2).max(axis=1)
    large = np.argsort(-sides)[: np.count_nonzero(sides >= MIN_PIECE * sides.max(initial=0))]
    numbers = np.zeros(count + 1, int)
    numbers[large + 1] = np.arange(1, len(large) + 1)
    return numbers[labels], boxes[large]


def strength(contrast: np.ndarray) -> float:
    """Return the contrast of most ink: the mean, weighted by contrast."""
    return float(np.sum(contrast**2) / max(1, np.sum(contrast)))


def crop(ink: np.ndarray) -> np.ndarray:
    """Return the smallest rectangle that holds all ink. Raises UserError if there is none."""
    if not ink.any():
        raise UserError(NO_DIGIT)
    rows, columns = np.nonzero(ink)
    return ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def _without_rules(flat: np.ndarray) -> np.ndarray:
    """Turn the page, and remove the lines across it; darker strokes that cross them stay."""
    small = Image.fromarray(flat).reduce(2)
    turned = (np.asarray(small.rotate(angle)) for angle in ANGLES)
    # Where long lines are level or upright, the sums of rows and columns differ most.
    unevenness = [sum(np.square(page.sum(axis)).sum() for axis in (0, 1)) for page in turned]
    angle = float(ANGLES[np.argmax(unevenness)])
    contrast, page = (
        np.asarray(Image.fromarray(a).rotate(angle, Image.Resampling.BILINEAR, expand=True))
        for a in (flat, np.ones_like(flat))
    )
    width = round(MAX_WIDTH * max(flat.shape))
    level, upright = _rules(contrast, page, width), _rules(contrast.T, page.T, width).T
    rest = contrast - np.maximum(level, upright)
    rest = np.where(rest > contrast / 3, rest, 0)
    for rules, size in ((level, (width, 1)), (upright, (1, width))):
        # Between strokes on both sides, a line hides one.
        bridge = np.minimum(contrast, ndimage.grey_closing(rest, size))
        rest = np.where(rules > 0, np.maximum(rest, bridge), rest)
    # A digit alone stays as it is.
    return flat if np.sum(rest) > 0.97 * np.sum(contrast) else np.asarray(rest)


def _rules(contrast: np.ndarray, page: np.ndarray, width: int) -> np.ndarray:
    """Return the part of the contrast that is due to level lines, at most `width` wide."""
    # A line may have gaps, bend or step a little, and goes on past the page.
    near = np.where(page > 0, ndimage.maximum_filter(contrast, (5, 9)), 1)
    lines = np.where(page > 0, ndimage.grey_opening(near, (1, round(MIN_RULE * page.shape[1]))), 0)
    stripes = ndimage.grey_opening(lines, (width + 4, 1))
    return np.asarray(np.minimum(contrast, lines - stripes))
