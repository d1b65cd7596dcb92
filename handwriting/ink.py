"""Where the ink of a digit is: paper, desk, rules, boxes and bars are told from it."""

from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

from digits.plumbing.errors import UserError

# The longer side, in pixels, of the copy in which the sheet is looked for and its brightness is
# fitted.
PAPER_SIDE = 48

# The least difference in brightness between ink and paper, of 255 and in standard deviations of the
# noise.
MIN_CONTRAST = 20
MIN_CONTRAST_TO_NOISE = 2
# The least share of a picture's edge that is paper, unless it is cropped closely.
MOSTLY_PAPER = 0.9
# Of normally distributed noise, the standard deviation by the median absolute deviation.
STD_BY_MAD = 1.4826

# A sheet on a desk: its least share of the picture, of the rectangle around it, and the least share
# of it that has no ink.
MIN_SHEET = 0.15
MIN_RECTANGLE = 0.85
MIN_BLANK = 0.6

# Rules: how far a page may be tilted, in degrees; the least share of a row of the page that they
# cover, and the least share of the picture's width that such a row has; their greatest width as a
# share of the picture's longer side; how much darker a pen is that is told from them by that alone.
ANGLES = np.arange(-8, 8.01, 0.25)
MIN_RULE = 0.67
MIN_ACROSS = 0.2
MAX_WIDTH = 0.03
DARKER = 1.3
# Bars are that much longer than wide. A frame holds a piece of that share of its size, and its
# sides are straight for that share of their length.
BAR = 5
MIN_FRAMED = 0.3
# A smaller share of the ink is no rule, frame or bar.
MIN_REMOVED = 0.01
# Smaller pieces, as a share of the longest, are specks.
MIN_PIECE = 0.08

EIGHT = np.ones((3, 3))
NO_DIGIT = "no digit found; show one, dark on light or light on dark, with paper around it"
LINES = "lines, but no digit; write one on them"
Box = tuple[slice, slice]


def find(brightness: np.ndarray) -> np.ndarray:
    """How much darker or lighter than paper each pixel of ink is: float32 (height, width).

    Takes brightness, float32 (height, width) in 0..255. The result is 0 where there is paper, desk,
    a rule, a frame or a bar. It may be cropped to the ink, and turned by some degrees, so that
    rules are level. Raises UserError if nothing is written there.
    """
    contrast = _contrast(brightness)
    if not contrast.any():
        raise UserError(NO_DIGIT)
    [around] = ndimage.find_objects((contrast > 0).astype(int))
    # Most pictures are mostly paper, and have no rules.
    ruled = any(np.divide(size(around), contrast.shape) >= MIN_RULE)
    if not ruled:
        contrast = contrast[around]
    angle = _tilt(contrast)
    turned = _turned(contrast, angle)
    # Frames come first, since a large one is as long as a rule.
    found = _without(turned, _is_frame)
    if ruled:
        found = _without_rules(found, _turned(np.ones_like(contrast), angle) > 0)
    found = _without(found, _is_bar)
    removed = np.count_nonzero(found != turned)
    if removed <= MIN_REMOVED * np.count_nonzero(turned):
        return contrast
    if not found.any():
        raise UserError(LINES)
    return found


def _contrast(brightness: np.ndarray) -> np.ndarray:
    """The contrast of ink with paper, 0 elsewhere."""
    smooth = ndimage.gaussian_filter(brightness, 0.7)
    noise = STD_BY_MAD * float(np.median(np.abs(brightness - smooth)[::4, ::4]))
    least = max(MIN_CONTRAST, MIN_CONTRAST_TO_NOISE * noise)
    dark = _paper(smooth, np.ones(smooth.shape, bool)) - smooth
    sheet = _sheet(dark)
    if sheet is not None:
        on_sheet = _stronger(_paper(smooth, sheet) - smooth, least, sheet)
        # A sheet without ink is a thick stroke.
        if on_sheet.any():
            return on_sheet
    return _stronger(dark, least)


def _stronger(dark: np.ndarray, least: float, where: np.ndarray | bool = True) -> np.ndarray:
    """The contrast of dark ink, or of light ink if there is more, where it is over `least`."""
    sides = [np.where(where & (side > least), side, 0) for side in (dark, -dark)]
    return max(sides, key=np.sum)


def _sheet(dark: np.ndarray) -> np.ndarray | None:
    """Where the sheet of paper is that lies on a desk, bool (height, width), if there is one.

    Takes by how much each pixel is darker than the picture's edge, float32 (height, width).
    """
    pieces, _ = ndimage.label(np.abs(_small(dark)) > MIN_CONTRAST)
    areas = np.bincount(pieces.ravel(), minlength=2)[1:]
    sheet = ndimage.binary_fill_holes(pieces == 1 + np.argmax(areas))
    area = sheet.sum()
    if area < MIN_SHEET * sheet.size or areas.max() < MIN_BLANK * area:
        return None
    if area < MIN_RECTANGLE * _rectangle(sheet):
        return None
    inside = Image.fromarray(ndimage.binary_erosion(sheet, iterations=2))
    mask: np.ndarray = np.asarray(inside.resize(dark.shape[::-1]))
    return mask if mask.any() else None


def _small(values: np.ndarray) -> np.ndarray:
    image = Image.fromarray(values)
    image.thumbnail((PAPER_SIDE, PAPER_SIDE), Image.Resampling.BOX)
    return np.asarray(image)


def _rectangle(mask: np.ndarray) -> float:
    """The area of the smallest rectangle, turned by up to 20 degrees, around the true pixels."""
    y, x = np.nonzero(mask)
    turns = np.radians(np.arange(-20, 21, 2))[:, np.newaxis]
    across, down = x * np.cos(turns) + y * np.sin(turns), y * np.cos(turns) - x * np.sin(turns)
    return float(np.min((np.ptp(across, axis=1) + 1) * (np.ptp(down, axis=1) + 1)))


def _paper(brightness: np.ndarray, sheet: np.ndarray) -> np.ndarray:
    """The brightness of the paper if there were no ink: float32 (height, width).

    It is a quadratic surface, since light changes slowly: fitted to the edge of the picture, or to
    a sheet in it, then to all pixels close to the surface. In a closely cropped picture, ink
    covers much of the edge; then the fit also starts from the pixels that are as bright as most of
    the edge, and the better one counts.
    """
    values = _small(brightness)
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in values.shape), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])
    sheet = np.asarray(Image.fromarray(sheet).resize(values.shape[::-1]))
    edge = sheet if not sheet.all() else np.maximum(np.abs(x), np.abs(y)) > 0.8

    def explained(surface: np.ndarray) -> float:
        close = np.abs(values - surface) <= MIN_CONTRAST / 4
        return float(close[edge].mean() + close[sheet].mean()) / 2

    best = _fit(values, terms, edge, sheet)
    if explained(best) < MOSTLY_PAPER:
        usual = np.percentile(values[edge], 50, method="lower")
        alike = edge & (np.abs(values - usual) <= MIN_CONTRAST)
        best = max(best, _fit(values, terms, alike, sheet), key=explained)
    surface = Image.fromarray(best.astype(np.float32))
    return np.asarray(surface.resize(brightness.shape[::-1]))


def _fit(
    values: np.ndarray, terms: np.ndarray, paper: np.ndarray, allowed: np.ndarray
) -> np.ndarray:
    """The sum of `terms` that is closest to `values`: where `paper`, then wherever it is close."""
    for _ in range(4):
        # Least squares by the normal equations. With einsum, NumPy starts no threads.
        weighted = terms * paper
        products = np.einsum("iyx,jyx->ij", weighted, terms)
        coefficients = np.linalg.lstsq(products, np.einsum("iyx,yx->i", weighted, values))[0]
        surface: np.ndarray = np.einsum("i,iyx->yx", coefficients, terms)
        distance = np.abs(values - surface)
        noise = STD_BY_MAD * np.median(distance[paper])
        paper = allowed & (distance <= max(MIN_CONTRAST / 4, 2.5 * noise))
    return surface


def _tilt(contrast: np.ndarray) -> float:
    """The angle in degrees by which to turn the picture to have long straight lines level."""
    y, x = np.nonzero(contrast)
    step = 1 + len(x) // 3000
    y, x = y[::step], x[::step]
    far = sum(contrast.shape)

    def evenness(angle: float) -> float:
        cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        rows = np.bincount((y * cosine - x * sine + far).astype(int))
        columns = np.bincount((x * cosine + y * sine + far).astype(int))
        return float(rows @ rows + columns @ columns)

    return float(max(ANGLES, key=evenness))


def _turned(values: np.ndarray, angle: float) -> np.ndarray:
    image = Image.fromarray(values)
    return np.asarray(image.rotate(angle, Image.Resampling.BILINEAR, expand=True))


def _without_rules(contrast: np.ndarray, page: np.ndarray) -> np.ndarray:
    """Without level and upright lines across the page; strokes that cross them stay."""
    width = round(MAX_WIDTH * max(contrast.shape))
    mask = contrast > 0
    level, upright = _rules(mask, page, width), _rules(mask.T, page.T, width).T
    rest = np.where(level & upright, 0, contrast)
    for rules in (level, upright):
        if rules.any():
            pen = DARKER * np.percentile(contrast[rules], 90)
            rest = np.where(rules & (contrast < pen), 0, rest)
    return _repaired(_repaired(rest, contrast, level, width).T, contrast.T, upright.T, width).T


def _rules(mask: np.ndarray, page: np.ndarray, width: int) -> np.ndarray:
    """Where level lines are that cover most of the page's width and are no wider than `width`."""
    # A rule may bend or step a little.
    near = ndimage.maximum_filter1d(mask, 5, 0)
    across = page.sum(axis=1)
    rows = (near.sum(axis=1) >= MIN_RULE * across) & (across >= MIN_ACROSS * page.shape[1])
    lines = near & rows[:, np.newaxis]
    # A wider stripe is no line, nor is its edge.
    inside = ndimage.minimum_filter1d(lines, width | 1, 0, mode="constant")
    stripes = ndimage.maximum_filter1d(inside, 2 * width | 1, 0)
    return np.where(stripes, False, mask & lines)


def _repaired(rest: np.ndarray, before: np.ndarray, rules: np.ndarray, width: int) -> np.ndarray:
    """`rest`, and from `before` the pixels of level rules between strokes above and below."""
    half = width // 2
    near = ndimage.maximum_filter1d(rest, 2 * (half // 2) + 1, mode="constant")
    above, below = (
        ndimage.maximum_filter1d(near, 2 * half + 1, 0, mode="constant", origin=origin)
        for origin in (half, -half)
    )
    return np.where(rules, np.maximum(rest, np.minimum(before, np.minimum(above, below))), rest)


def _without(contrast: np.ndarray, unwanted: Callable[[Box, Box], bool]) -> np.ndarray:
    """Without the pieces that are `unwanted`, given another one."""
    # In a blurred picture, pale pixels join pieces.
    for least in (0, strength(contrast) / 2):
        pieces, _ = ndimage.label(contrast > least, EIGHT)
        boxes = ndimage.find_objects(pieces)
        sides = np.array([max(size(box)) for box in boxes])
        large = np.flatnonzero(sides > MIN_PIECE * sides.max(initial=0))
        dropped = [n for n in large if any(unwanted(boxes[n], boxes[other]) for other in large)]
        if dropped:
            drop = np.isin(pieces - 1, dropped)
            around = ndimage.maximum_filter(drop, 5) & ((pieces == 0) | drop)
            contrast = np.where(around, 0, contrast)
    return contrast


def strength(contrast: np.ndarray) -> float:
    """The contrast that ink has inside a line, given that of all pixels, 0 for paper."""
    found = contrast[contrast > 0]
    return float(np.percentile(found, 75)) if found.size else 0


def size(box: Box) -> tuple[int, int]:
    """Height and width."""
    rows, columns = box
    return rows.stop - rows.start, columns.stop - columns.start


def _is_bar(box: Box, other: Box) -> bool:
    """Whether the first is a line under the other piece, or a bar that is longer than it."""
    (height, width), beside = size(box), size(other)
    if width < BAR * height or beside[0] < 2 * height:
        return False
    under = box[0].start >= other[0].start + 0.9 * beside[0] and width > 0.5 * max(beside)
    return under or width > 1.3 * max(beside)


def _is_frame(box: Box, other: Box) -> bool:
    """Whether the other piece is inside the first, and large enough for its frame."""
    inside = box != other and all(
        a.start <= b.start and b.stop <= a.stop for a, b in zip(box, other, strict=True)
    )
    return inside and size(other)[0] >= MIN_FRAMED * size(box)[0]
