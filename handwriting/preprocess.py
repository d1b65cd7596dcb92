"""From a picture of a digit to 28x28 pixels, as MNIST was made."""

import io
import warnings

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image, ImageOps

from digits import files
from digits.errors import UserError

SIDE = 28
DIGIT_SIDE = 20
FORMATS = ("PNG", "JPEG", "WEBP")
LARGEST_BYTES = 100 * 10**6
LARGEST_PIXELS = 50 * 10**6

# The longer side, in pixels, of the copies in which ink is looked for, the brightness of the paper
# is fitted, pieces of ink are told apart, and strokes are thickened.
SEARCH_SIDE = 240
PAPER_SIDE = 32
PIECES_SIDE = 64
STROKES_SIDE = 80

# The least difference in brightness between ink and paper, of 255 and in standard deviations of the
# noise.
LEAST_CONTRAST = 20
LEAST_CONTRAST_TO_NOISE = 4
# As shares of the longer side of the largest piece of ink: pieces further apart are not of the same
# digit, and smaller ones are dirt.
WIDEST_GAP = 0.2
LARGEST_DIRT = 0.15
# The least share of a picture's edge that is paper, unless it is cut out closely.
MOSTLY_PAPER = 0.9
# The least share of all ink that the digit has.
LEAST_INK = 0.8
# As a share of the digit's longer side: thinner strokes are thickened.
THINNEST_STROKE = 0.09
# The most ink, as a share of the square around the digit, and the greatest width by height. In
# MNIST they are 0.64 and 2.
MOST_INK = 0.7
WIDEST = 2.2

# Of normally distributed noise, the standard deviation by the median absolute deviation.
STD_BY_MAD = 1.4826

NO_DIGIT = "no digit found; show one, dark on light or light on dark, with paper around it"
SEVERAL = "more than one digit, or something else; cut out one, with paper around it"

# About damaged EXIF data, and about pictures so large that they are refused here.
warnings.filterwarnings("ignore", module=r"PIL\.")


class _RefusedError(Exception):
    """Why a picture is refused."""


def digit(content: bytes, source: str) -> np.ndarray:
    """The digit in a picture as the models see it: uint8 (28, 28), light on dark.

    `content` is that of a PNG, JPEG or WebP file of any size up to LARGEST_PIXELS, in gray or
    color, dark on light or light on dark. Light may be uneven, EXIF may rotate the picture, and it
    may be transparent.

    As for MNIST, the ink is cut out and scaled so that its longer side has 20 pixels, with gray
    levels from anti-aliasing, and its center of mass is moved to the center of 28x28 pixels.
    Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits",
    http://yann.lecun.com/exdb/mnist/. Strokes that are thinner than MNIST's are thickened.

    Raises UserError, which names `source`, if there is no digit, more than one, or no such picture.
    """
    try:
        return _normalize(_cut_out(_ink(_brightness(_decode(content)))))
    except _RefusedError as error:
        raise UserError(f"{source}: {error}") from None


def _decode(content: bytes) -> Image.Image:
    """The picture upright, its longer side at most SEARCH_SIDE, in mode L, RGB or RGBA."""
    too_large = _RefusedError(
        f"larger than {LARGEST_PIXELS // 10**6} megapixels or {LARGEST_BYTES // 10**6} MB"
    )
    if not content:
        raise _RefusedError("the file is empty")
    if len(content) > LARGEST_BYTES:
        raise too_large
    try:
        # Reads the header. Nothing is decompressed before the size is known.
        image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise too_large from None
    except Exception:
        # A damaged header raises any of several kinds.
        raise _RefusedError("not a PNG, JPEG or WebP picture") from None
    if image.width * image.height > LARGEST_PIXELS:
        raise too_large
    # A phone's JPEG may hold more pictures (MPO), of which the first is the photograph.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise _RefusedError("an animation; save one picture of it")
    try:
        # Has a JPEG decoded at a fraction of its size.
        image.draft(None, (SEARCH_SIDE, SEARCH_SIDE))
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode.startswith("I"):
            # 16 bits per pixel.
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        elif image.has_transparency_data:
            image = image.convert("RGBA")
        elif image.mode != "L":
            image = image.convert("RGB")
        image.thumbnail((SEARCH_SIDE, SEARCH_SIDE), Image.Resampling.BOX, reducing_gap=1.0)
    except Exception as error:
        raise _RefusedError(f"damaged ({files.first_line(error)})") from None
    return image


def _brightness(image: Image.Image) -> np.ndarray:
    """The color channel with the greatest contrast: float32 (height, width) in 0..255."""
    if image.mode == "RGBA":
        pixels = np.asarray(image)
        visible = pixels[pixels[..., 3] > 127, :3]
        # What is only light was drawn for a dark background.
        background = "black" if visible.size and visible.min() > 127 else "white"
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
        image = image.convert("RGB")
    pixels = np.asarray(image, np.float32).reshape(image.height, image.width, -1)
    contrast = pixels[::4, ::4].std(axis=(0, 1))
    brightness: np.ndarray = pixels[..., contrast.argmax()]
    return brightness


def _ink(brightness: np.ndarray) -> np.ndarray:
    """How much ink is where: float32 (height, width), from 0 for paper to 1 for ink."""
    dark = _paper(brightness) - brightness
    noise = STD_BY_MAD * float(np.median(np.abs(dark[::4, ::4])))
    least = max(LEAST_CONTRAST, LEAST_CONTRAST_TO_NOISE * noise)
    contrast = max(dark, -dark, key=lambda side: float(side[side > least].sum()))
    found = contrast[contrast > least]
    if not found.size:
        raise _RefusedError(NO_DIGIT)
    # At its edges, a line has half the contrast that it has inside.
    ink: np.ndarray = np.clip(2 * contrast / np.float32(np.percentile(found, 75)) - 0.5, 0, 1)
    return ink


def _paper(brightness: np.ndarray) -> np.ndarray:
    """The brightness of the paper if there were no ink: float32 (height, width).

    It is a quadratic surface, since light changes slowly: fitted to the picture's edge, then to
    whatever is close to the surface. In a picture that is cut out closely, ink covers much of the
    edge; then the fit also starts from what is as bright as most of the edge, and the better one
    counts.
    """
    small = Image.fromarray(brightness)
    small.thumbnail((PAPER_SIDE, PAPER_SIDE), Image.Resampling.BOX)
    values = np.asarray(small)
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in values.shape), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])
    edge = np.maximum(np.abs(x), np.abs(y)) > 0.8

    def explained(surface: np.ndarray) -> float:
        return float(np.mean(np.abs(values - surface)[edge] <= LEAST_CONTRAST))

    best = _fit(values, terms, edge)
    if explained(best) < MOSTLY_PAPER:
        usual = np.percentile(values[edge], 50, method="lower")
        alike = edge & (np.abs(values - usual) <= LEAST_CONTRAST)
        best = max(best, _fit(values, terms, alike), key=explained)
    height, width = brightness.shape
    paper: np.ndarray = np.asarray(Image.fromarray(best.astype(np.float32)).resize((width, height)))
    return paper


def _fit(values: np.ndarray, terms: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """The sum of `terms` that is closest to `values`: where `paper`, then wherever it is close.

    Takes values float (height, width), terms float (n, height, width), paper bool (height, width).
    """
    for _ in range(4):
        # Least squares by the normal equations. With einsum, NumPy starts no threads.
        weighted = terms * paper
        products = np.einsum("iyx,jyx->ij", weighted, terms)
        coefficients = np.linalg.lstsq(products, np.einsum("iyx,yx->i", weighted, values))[0]
        surface: np.ndarray = np.einsum("i,iyx->yx", coefficients, terms)
        distance = np.abs(values - surface)
        noise = STD_BY_MAD * np.median(distance[paper])
        paper = distance <= max(LEAST_CONTRAST / 4, 2.5 * noise)
    return surface


def _cut_out(ink: np.ndarray) -> np.ndarray:
    """The ink of the one digit, in the rectangle around it, without dirt."""
    ink = ink[_box(ink > 0.5)]
    small = Image.fromarray(ink)
    small.thumbnail((PIECES_SIDE, PIECES_SIDE), Image.Resampling.BOX)
    # A thin stroke covers only a part of a pixel.
    mask = np.asarray(small) > 0.1
    parts = _pieces(mask)
    longest = max(_longer_sides(parts), default=0)
    if parts.max() > 1:
        parts = _pieces(_spread(mask, round(WIDEST_GAP * longest / 2))) * mask
    sides = _longer_sides(parts)
    if not sides:
        raise _RefusedError(NO_DIGIT)
    largest = parts == 1 + np.argmax(sides)
    dirt = sorted(sides)[:-1]
    if max(dirt, default=0) > LARGEST_DIRT * longest or largest.sum() < LEAST_INK * mask.sum():
        raise _RefusedError(SEVERAL)
    height, width = ink.shape
    around = Image.fromarray(_spread(largest, 1)).resize((width, height))
    ink = ink * np.asarray(around)
    return ink[_box(ink > 0.5)]


def _normalize(ink: np.ndarray) -> np.ndarray:
    """The digit scaled to 20 pixels and centered in 28x28 pixels: uint8 (28, 28)."""
    height, width = ink.shape
    if ink.sum() > MOST_INK * max(ink.shape) ** 2 or width > WIDEST * height:
        raise _RefusedError(NO_DIGIT)
    ink = _scale(_thicken(_scale(ink, STROKES_SIDE)), DIGIT_SIDE)
    image = np.zeros((SIDE, SIDE), np.uint8)
    place = []
    for coordinates, side in zip(np.indices(ink.shape), ink.shape, strict=True):
        center = float((coordinates * ink).sum() / ink.sum())
        # The center of MNIST's digits is the pixel (14, 14).
        start = min(max(0, round(SIDE / 2 - center)), SIDE - side)
        place.append(slice(start, start + side))
    image[tuple(place)] = np.rint(255 * ink)
    return image


def _scale(ink: np.ndarray, longer_side: int) -> np.ndarray:
    """The same digit in another size; each pixel is the mean of those that it covers."""
    height, width = (max(1, round(side * longer_side / max(ink.shape))) for side in ink.shape)
    return np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BOX))


def _thicken(ink: np.ndarray) -> np.ndarray:
    """The same digit with no stroke thinner than THINNEST_STROKE."""
    mask = np.pad(ink > 0.5, 1)
    inside = (mask[:-2] & mask[2:])[:, 1:-1] & (mask[:, :-2] & mask[:, 2:])[1:-1]
    outline = np.sum(mask[1:-1, 1:-1] & ~inside)
    # A long stroke has an outline of about twice its length.
    thickness = 2 * mask.sum() / max(outline, 1)
    reach = round((THINNEST_STROKE * max(ink.shape) - thickness) / 2)
    return _spread(np.pad(ink, reach), reach) if reach > 0 else ink


def _spread(values: np.ndarray, reach: int) -> np.ndarray:
    """The largest value within `reach` pixels of each pixel, diagonally too."""
    for axis in (0, 1):
        margin = [(0, 0), (0, 0)]
        margin[axis] = (reach, reach)
        windows: np.ndarray = sliding_window_view(np.pad(values, margin), 2 * reach + 1, axis=axis)
        values = windows.max(axis=-1)
    return values


def _box(mask: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns of the rectangle around what is true, of which there is some."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _longer_sides(pieces: np.ndarray) -> list[int]:
    """For each piece, numbered as by `_pieces`, the longer side of the rectangle around it."""
    boxes = (_box(pieces == number) for number in range(1, pieces.max() + 1))
    return [max(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in boxes]


def _pieces(mask: np.ndarray) -> np.ndarray:
    """Connected pieces, diagonally too: int64, 0 where `mask` is false, elsewhere 1, 2, ..."""
    index = np.zeros(mask.shape, np.int64)
    index[mask] = np.arange(1, mask.sum() + 1)
    neighbors = (
        (index[:, 1:], index[:, :-1]),
        (index[1:], index[:-1]),
        (index[1:, 1:], index[:-1, :-1]),
        (index[1:, :-1], index[:-1, 1:]),
    )
    pairs = np.concatenate([np.stack([a, b])[:, (a > 0) & (b > 0)] for a, b in neighbors], axis=1)
    # Each pixel points to one of its piece with a lower index, in the end to the lowest.
    lowest = np.arange(mask.sum() + 1)
    while (lowest[pairs[0]] != lowest[pairs[1]]).any():
        first, second = lowest[pairs]
        np.minimum.at(lowest, np.maximum(first, second), np.minimum(first, second))
        lowest = lowest[lowest]
    numbers: np.ndarray = np.unique(lowest, return_inverse=True)[1]
    return numbers[index]
