"""From a picture of a digit to 28x28 pixels, as MNIST was made."""

import numpy as np
from PIL import Image
from scipy import ndimage

from digits.plumbing.errors import UserError
from handwriting import ink
from handwriting.ink import EIGHT, MIN_PIECE, NO_DIGIT
from handwriting.pictures import brightness

SIDE = 28
DIGIT_SIDE = 20

# The longer side, in pixels, of the copies in which ink is looked for and strokes are thickened.
SEARCH_SIDE = 320
STROKES_SIDE = 80

# As a share of the longer side of the largest piece of ink: pieces further apart are not of the
# same digit.
MAX_GAP = 0.2
# As a share of the height of the largest part: lower parts are dirt.
MAX_DIRT = 0.35
# The least share of all ink that the digits have.
MIN_INK = 0.8
# As shares of the digit's longer side: thinner strokes are thickened, thicker ones thinned if they
# are blurred.
MIN_STROKE = 0.09
MAX_STROKE = 0.2
# The most ink, as a share of the square around the digit, and the greatest width by height. In
# MNIST they are 0.67 and 2.
MAX_INK = 0.7
MAX_ASPECT = 2.2
# The longest outline in pixels, the most holes and pieces that 999 of 1,000 of MNIST's have.
MAX_OUTLINE = 114
MAX_HOLES = 3
MAX_PIECES = 3

SEVERAL = "more than one digit; crop to one, or read a row of them with --digits"


def digits(content: bytes, row: bool = False) -> np.ndarray:
    """The digit in a picture as the models see it: uint8 (1, 28, 28), light on dark.

    With `row`, the digits from left to right: uint8 (n, 28, 28), n > 0. Raises UserError, which
    does not name the picture, if it is none, or has no digit, or more than one without `row`.
    """
    images = [_normalize(piece) for piece in _cut_out(ink.find(brightness(content, SEARCH_SIDE)))]
    if len(images) > 1 and not row:
        raise UserError(SEVERAL)
    return np.stack(images)


def _cut_out(contrast: np.ndarray) -> list[np.ndarray]:
    """The ink of each digit, from 0 for paper to 1, in the rectangle around it, without dirt."""
    pieces, _ = ndimage.label(contrast > 0, EIGHT)
    most = 1 + np.bincount(pieces.ravel(), contrast.ravel())[1:].argmax()
    strength = ink.strength(np.where(pieces == most, contrast, 0))
    # At its edges, a line has half the contrast that it has inside.
    mask = contrast > strength / 2
    pieces, _ = ndimage.label(mask, EIGHT)
    sides = np.array([max(ink.size(box)) for box in ndimage.find_objects(pieces)])
    longest = sides.max()
    mask &= (sides >= MIN_PIECE * longest)[pieces - 1]
    gap = round(MAX_GAP * longest) | 1
    parts, _ = ndimage.label(ndimage.maximum_filter(mask, gap), EIGHT)
    parts *= mask
    boxes = ndimage.find_objects(parts)
    heights = np.array([ink.size(box)[0] for box in boxes])
    areas = np.bincount(parts.ravel())[1:]
    tall = np.flatnonzero(heights >= MAX_DIRT * heights[areas.argmax()])
    if areas[tall].sum() < MIN_INK * areas.sum():
        raise UserError(NO_DIGIT)
    share = contrast / strength
    return [
        _sharp(share[boxes[n]] * ndimage.maximum_filter(parts[boxes[n]] == n + 1, 5))
        for n in sorted(tall, key=lambda n: boxes[n][1].start)
    ]


def _sharp(share: np.ndarray) -> np.ndarray:
    """Ink from 0 to 1, given the share of its full contrast; thinned where blur widens strokes."""
    for middle in (0.5, 0.6, 0.7, 0.8):
        found = np.clip(2.5 * (share - middle) + 0.5, 0, 1)
        if _thickness(found > 0.5) <= MAX_STROKE * max(found.shape):
            break
    return found


def _normalize(ink: np.ndarray) -> np.ndarray:
    """The digit scaled to 20 pixels and centered in 28x28 pixels: uint8 (28, 28).

    Raises UserError if it has more of something than MNIST's digits.
    """
    height, width = ink.shape
    if ink.sum() > MAX_INK * max(ink.shape) ** 2 or width > MAX_ASPECT * height:
        raise UserError(NO_DIGIT)
    ink = _scale(_thicken(_scale(ink, STROKES_SIDE)), DIGIT_SIDE)
    image = np.zeros((SIDE, SIDE), np.uint8)
    # The center of MNIST's digits is the pixel (14, 14).
    start = np.rint(SIDE / 2 - np.array(ndimage.center_of_mass(ink))).astype(int)
    top, left = np.clip(start, 0, SIDE - np.array(ink.shape))
    height, width = ink.shape
    image[top : top + height, left : left + width] = np.rint(255 * ink)
    mask = np.pad(image > 127, 1)
    outline = (mask & ~ndimage.binary_erosion(mask)).sum()
    holes = ndimage.label(~mask)[1] - 1
    pieces = ndimage.label(mask, EIGHT)[1]
    if outline > MAX_OUTLINE or holes > MAX_HOLES or pieces > MAX_PIECES:
        raise UserError(NO_DIGIT)
    return image


def _scale(ink: np.ndarray, longer_side: int) -> np.ndarray:
    """The same digit in another size; each pixel is the mean of those that it covers."""
    height, width = (max(1, round(side * longer_side / max(ink.shape))) for side in ink.shape)
    return np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BOX))


def _thicken(ink: np.ndarray) -> np.ndarray:
    """The same digit with no stroke thinner than MIN_STROKE."""
    reach = round((MIN_STROKE * max(ink.shape) - _thickness(ink > 0.5)) / 2)
    return ndimage.maximum_filter(np.pad(ink, reach), 2 * reach + 1) if reach > 0 else ink


def _thickness(mask: np.ndarray) -> float:
    """The mean thickness of strokes in pixels: a long one has an outline of twice its length."""
    outline = np.sum(mask & ~ndimage.binary_erosion(mask, border_value=0))
    return float(2 * mask.sum() / max(outline, 1))
