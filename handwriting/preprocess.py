"""Convert a picture of a digit to 28x28 pixels, the way MNIST was made."""

import numpy as np
from PIL import Image
from scipy import ndimage

from digits.plumbing.errors import UserError
from handwriting import ink
from handwriting.pictures import brightness

SIDE, DIGIT_SIDE = 28, 20

# The longer side, in pixels, of the copies in which ink is looked for and strokes are thickened.
SEARCH_SIDE, STROKES_SIDE = 320, 80

# More pieces of ink are a texture.
MAX_LARGE = 60
# Pieces farther apart than this fraction of the largest piece's longer side are separate digits.
# So are pieces that overlap in width by less than this fraction of the height of both, if each has
# this fraction of it.
MAX_GAP, MAX_OVERLAP, MIN_TALL = 0.2, 0.2, 0.55
# Lines under a digit are that much longer than wide. Pieces lower than this fraction of the height
# of the largest digit are dirt.
BAR, MAX_DIRT = 5, 0.35
# Touching digits: the most ink where they are cut, in strokes, the least height of each, and their
# least width together, both as fractions of the height.
MAX_CUT, MIN_HALF, MIN_PAIR = 1.2, 0.8, 1.25
# Strokes thinner than this fraction of the digit's longer side are thickened.
MIN_STROKE = 0.09
# The longest outline in pixels and the most holes of 999 of 1,000 of MNIST's.
MAX_OUTLINE, MAX_HOLES = 114, 3

SEVERAL = "more than one digit; crop to one, or read a row of them with --digits"


def digits(content: bytes, row: bool = False) -> np.ndarray:
    """Return the digit in a picture as the models see it: uint8 (1, 28, 28), light on dark.

    With `row`, the digits from left to right: uint8 (n, 28, 28), n > 0. Raises UserError, which
    does not name the picture, if it is none, or has no digit, or more than one without `row`.
    """
    pieces = _cut_out(ink.find(brightness(content, SEARCH_SIDE)))
    cut = [half for piece in pieces for half in _halves(piece)]
    if len(cut) > 1 and not row:
        raise UserError(SEVERAL)
    return np.stack([_normalize(digit) for digit in cut])


def _cut_out(contrast: np.ndarray) -> list[np.ndarray]:
    """Return the ink of each digit, from 0 for paper to 1, from left to right."""
    # At its edges, a line has half the contrast that it has inside.
    relative = contrast / ink.strength(contrast)
    pieces, boxes = ink.pieces(relative > 0.5)
    if len(boxes) > MAX_LARGE:
        raise UserError(ink.NO_DIGIT)
    parts: list[np.ndarray] = []
    part_of = [0]
    for box in boxes:
        gaps = [_gap(part, box) for part in parts]
        # The box begins a new part, unless an old one is close enough.
        n = int(np.argmin([*gaps, MAX_GAP * np.ptp(boxes[0], axis=1).max()]))
        both = np.hstack([*parts[n : n + 1], box])
        parts[n : n + 1] = [np.stack([both.min(axis=1), both.max(axis=1)], axis=1)]
        part_of.append(n + 1)
    numbers = np.array(part_of)[pieces]
    areas = np.bincount(numbers.ravel())[1:]
    heights, widths = np.ptp(parts, axis=2).T
    areas[widths >= BAR * heights] = 0
    kept = np.flatnonzero((areas > 0) & (heights >= MAX_DIRT * heights[areas.argmax()]))
    if not kept.size:
        raise UserError(ink.NO_DIGIT)
    sharp = np.clip(2.5 * (relative - 0.5) + 0.5, 0, 1)
    ordered = kept[np.argsort(np.array(parts)[kept, 1, 0])]
    return [ink.crop(sharp * ndimage.maximum_filter(numbers == n + 1, 5)) for n in ordered]


def _gap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the gap between two boxes in pixels, or infinity if they are not of one digit."""
    boxes = np.stack([first, second])
    down, across = boxes[..., 0].max(axis=0) - boxes[..., 1].min(axis=0)
    heights, widths = np.ptp(boxes, axis=2).T
    height, low = np.ptp(boxes[:, 0]), boxes[:, 0, 0].argmax()
    beside = heights.min() >= MIN_TALL * height and across >= -MAX_OVERLAP * height
    underlined = widths[low] >= BAR * heights[low] and down >= 0
    return float("inf") if beside or underlined else max(down, across)


def _halves(digit: np.ndarray) -> list[np.ndarray]:
    """Cut where two digits touch, if that is clear: across one stroke, into two tall ones."""
    height, width = digit.shape
    mask = digit > 0.5
    middle = mask.sum(axis=0)[width // 4 : width - width // 4]
    at = [width // 4 + middle.argmin()]
    tall = [half.any(axis=1).sum() >= MIN_HALF * height for half in np.split(mask, at, axis=1)]
    # Halves of a narrower one would be narrower than digits.
    if width > MIN_PAIR * height and middle.min() <= MAX_CUT * _thickness(mask) and all(tall):
        return [ink.crop(half) for half in np.split(digit, at, axis=1)]
    return [digit]


def _normalize(digit: np.ndarray) -> np.ndarray:
    """Return the digit scaled to 20 pixels and centered in 28x28; refuse what is unlike MNIST's."""
    large = _scale(digit, STROKES_SIDE)
    reach = round(max(0, MIN_STROKE * STROKES_SIDE - _thickness(large > 0.5)) / 2)
    small = _scale(ndimage.maximum_filter(np.pad(large, reach), 2 * reach + 1), DIGIT_SIDE)
    height, width = small.shape
    # The center of MNIST's digits is the pixel (14, 14).
    start = np.rint(SIDE / 2 - np.array(ndimage.center_of_mass(small))).astype(int)
    top, left = np.clip(start, 0, SIDE - np.array(small.shape))
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[top : top + height, left : left + width] = np.rint(255 * small)
    mask = np.pad(image > 127, 1)
    outline = (mask & ~ndimage.binary_erosion(mask)).sum()
    holes = ndimage.label(~mask)[1] - 1
    if outline > MAX_OUTLINE or holes > MAX_HOLES:
        raise UserError(ink.NO_DIGIT)
    return image


def _scale(ink: np.ndarray, longer_side: int) -> np.ndarray:
    """Return the same digit in a different size; each pixel is the mean of those that it covers."""
    height, width = (max(1, round(side * longer_side / max(ink.shape))) for side in ink.shape)
    return np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BOX))


def _thickness(mask: np.ndarray) -> float:
    """Return the mean thickness of strokes in pixels: a long one's outline is twice its length."""
    outline = np.sum(mask & ~ndimage.binary_erosion(mask, border_value=0))
    return float(2 * mask.sum() / max(outline, 1))
