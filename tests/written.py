"""Pictures drawn at random: digits on lined paper, in boxes, on a desk; and other things."""

import io
import string
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tests.photographs import file_bytes

Stroke = list[tuple[int, int]]

# Control points of quadratic splines, x and y in percent; a point given twice is a corner.
FORMS: list[tuple[int, list[Stroke]]] = [
    (0, [[(50, 0), (15, 10), (15, 90), (50, 100), (85, 90), (85, 10), (48, 0)]]),
    (0, [[(70, 5), (10, 0), (10, 100), (80, 100), (100, 30), (60, 0), (40, 10)]]),
    (1, [[(55, 0), (45, 100)]]),
    (1, [[(25, 30), (55, 0), (55, 0), (50, 100)]]),
    (2, [[(15, 25), (25, 0), (80, -5), (85, 40), (10, 100), (10, 100), (90, 98)]]),
    (2, [[(15, 20), (40, -10), (95, 0), (75, 50), (30, 90), (10, 100), (0, 80), (35, 75),
          (60, 100), (95, 90)]]),
    (3, [[(15, 12), (40, -5), (90, 0), (80, 45), (35, 45), (35, 45), (95, 45), (90, 105),
          (30, 105), (10, 85)]]),
    (3, [[(15, 3), (85, 3), (85, 3), (40, 42), (40, 42), (95, 40), (90, 105), (30, 105),
          (10, 88)]]),
    (4, [[(25, 0), (12, 55), (12, 55), (90, 52)], [(75, 10), (68, 100)]]),
    (4, [[(65, 0), (5, 65), (5, 65), (95, 63)], [(68, 25), (65, 100)]]),
    (5, [[(85, 2), (25, 2), (25, 2), (20, 45), (20, 45), (90, 30), (95, 100), (40, 105),
          (10, 90)]]),
    (5, [[(28, 3), (22, 45), (22, 45), (85, 30), (95, 95), (40, 110), (10, 92)], [(27, 3),
          (85, 0)]]),
    (6, [[(70, 0), (20, 30), (5, 100), (50, 102), (95, 95), (80, 50), (40, 50), (17, 75)]]),
    (7, [[(10, 5), (85, 5), (85, 5), (35, 100)]]),
    (7, [[(10, 5), (85, 5), (85, 5), (35, 100)], [(30, 52), (78, 50)]]),
    (8, [[(80, 12), (50, -10), (10, 10), (30, 45), (90, 60), (85, 100), (50, 103), (10, 100),
          (15, 60), (70, 40), (85, 12), (70, 2)]]),
    (9, [[(80, 15), (50, -10), (10, 5), (15, 50), (60, 55), (82, 10), (82, 10), (75, 60),
          (60, 100)]]),
    (9, [[(80, 15), (50, -10), (10, 5), (15, 50), (60, 55), (82, 10), (82, 10), (85, 90),
          (55, 105), (20, 90)]]),
]  # fmt: skip

CENTER = (240, 180)
Color = tuple[int, ...]
Range = tuple[int, int]


class Page:
    """A picture in the making, 480 units wide and 360 high; tilted by up to `tilt` degrees."""

    def __init__(self, rng: np.random.Generator, paper: Range = (190, 250), tilt: int = 5) -> None:
        self.rng = rng
        self.scale = float(rng.choice([480, 640, 960])) / 480
        self.paper = rng.uniform(*paper) * rng.uniform([0.96, 0.95, 0.85], 1)
        size = round(960 * self.scale), round(720 * self.scale)
        self.image = Image.new("RGB", size, color(self.paper))
        self.pen = ImageDraw.Draw(self.image)
        self.tilt = np.radians(rng.uniform(-tilt, tilt))

    def ink(self, least: float, most: float) -> Color:
        """A color that differs from the paper by `least` to `most` where it differs most."""
        shares = np.array([[1, 1, 1], [1, 0.9, 0.45], [0.5, 1, 0.95], [1, 0.7, 0.9]])
        return color(self.paper - self.rng.uniform(least, most) * self.rng.choice(shares))

    def points(self, xy: np.ndarray | list) -> list[tuple[float, float]]:
        """Where points of the page, in units, are in the picture, which is drawn twice as large."""
        turn = [[np.cos(self.tilt), np.sin(self.tilt)], [-np.sin(self.tilt), np.cos(self.tilt)]]
        moved = (np.array(xy) - CENTER) @ turn + CENTER
        return [tuple(point) for point in 2 * self.scale * moved]

    def line(self, xy: np.ndarray | list, ink: Color, width: float) -> None:
        """A line with round ends through the points (n, 2)."""
        width = max(1, round(2 * self.scale * width))
        points = self.points(xy)
        self.pen.line(points, ink, width, "curve")
        for x, y in points if width > 4 else ():
            r = width / 2 - 0.5
            self.pen.ellipse((x - r, y - r, x + r, y + r), ink)

    def digit(self, number: int, size: float, at: np.ndarray, ink: Color, stroke: float) -> None:
        """Write form `number`, `size` high, around the point `at`, a little different each time."""
        slant, turn = self.rng.normal(0.08, 0.08), self.rng.normal(0, 0.05)
        wide = self.rng.uniform(0.6, 0.85)
        for points in FORMS[number][1]:
            moves = {point: self.rng.normal(0, 0.012, 2) for point in points}
            x, y = np.array([np.divide(point, 100) + moves[point] - 0.5 for point in points]).T
            x = wide * x - slant * y
            xy = np.stack([x - turn * y, y + turn * x], axis=1)
            self.line(smooth(xy) * size + at, ink, max(2, stroke * size))

    def photograph(self) -> bytes:
        """The page in uneven light, with noise and blur: a JPEG file."""
        image = self.image.reduce(2)
        image = image.filter(ImageFilter.GaussianBlur(self.scale * self.rng.uniform(0, 0.8)))
        y, x = np.mgrid[-0.5 : 0.5 : image.height * 1j, -0.5 : 0.5 : image.width * 1j]
        angle = self.rng.uniform(0, 2 * np.pi)
        light = 1 + self.rng.uniform(0, 0.2) * (np.cos(angle) * x + np.sin(angle) * y)
        noise = self.rng.normal(0, self.rng.uniform(0, 6), light.shape)
        pixels = np.asarray(image) * light[..., None] + noise[..., None]
        return file_bytes(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), "JPEG")


def color(values: np.ndarray | list) -> Color:
    """Red, green and blue, in 0..255."""
    return tuple(int(np.clip(value, 0, 255)) for value in values)


def smooth(points: np.ndarray) -> np.ndarray:
    """The quadratic spline of control points (n, 2), by cutting corners (Chaikin)."""
    for _ in range(4):
        a, b = points[:-1], points[1:]
        cut = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points


def write(page: Page, number: int, size: float, high: float = 0) -> tuple[np.ndarray, Color, float]:
    """A digit somewhere below `high`, with a pen that can be seen; its place, color and width."""
    margin = 0.65 * size
    low = min(high + margin, 180 + high / 2)
    at = page.rng.uniform([margin, low], [480 - margin, max(360 - margin, low)])
    ink, stroke = page.ink(120, 190), page.rng.uniform(0.035, 0.11)
    page.digit(number, size, at, ink, stroke)
    return at, ink, max(2, stroke * size)


def plain(rng: np.random.Generator, number: int) -> bytes:
    """Plain paper."""
    page = Page(rng)
    write(page, number, rng.uniform(60, 280))
    return page.photograph()


def shadowed(rng: np.random.Generator, number: int, band: bool = False) -> bytes:
    """The edge of a shadow across the digit, or a band: 10 to 45% darker, 4 to 90 pixels soft."""
    page = Page(rng)
    at, _, _ = write(page, number, rng.uniform(90, 230))
    pixels = np.asarray(Image.open(io.BytesIO(page.photograph())))
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    [(left, top)], angle = page.points([at]), rng.uniform(0, 2 * np.pi)
    across = np.cos(angle) * (x - left / 2) + np.sin(angle) * (y - top / 2)
    if band:
        across = rng.uniform(20, 110) - np.abs(across)
    shadow = np.clip(across / rng.uniform(4, 90) + 0.5, 0, 1) * rng.uniform(0.1, 0.45)
    return file_bytes(Image.fromarray((pixels * (1 - shadow[..., None])).astype(np.uint8)), "JPEG")


def rule(page: Page) -> float:
    """Lines, a margin in red, or squares, strong or pale, on the page; how far they are apart."""
    spacing, width = page.rng.uniform(22, 48), page.rng.uniform(1, 4)
    ink, kind = page.ink(25, 150), page.rng.integers(4)
    for at in np.arange(page.rng.uniform(-200, spacing - 200), 700, spacing):
        page.line([(-200, at), (700, at)], ink, width)
        if kind == 3:
            page.line([(at, -200), (at, 700)], ink, width)
    if kind == 1:
        at = page.rng.uniform(40, 100)
        page.line([(at, -200), (at, 700)], color(page.paper * [0.95, 0.6, 0.6]), width)
    return spacing


def lined(rng: np.random.Generator, number: int) -> bytes:
    """Lined or squared paper."""
    page = Page(rng)
    spacing = rule(page)
    write(page, number, min(spacing * rng.uniform(2, 5), 230))
    return page.photograph()


def boxed(rng: np.random.Generator, number: int) -> bytes:
    """A box around the digit, as forms have it: alone or in a row of empty ones."""
    page = Page(rng)
    size = rng.uniform(60, 150)
    at, ink, _ = write(page, number, size)
    margin = size * rng.uniform(0.1, 0.5, 4) * [-1, -1, 1, 1]
    around = size * np.array([-0.45, -0.55, 0.45, 0.55])
    left, top, right, bottom = np.tile(at, 2) + around + margin
    ink, width = (ink if rng.random() < 0.3 else page.ink(60, 190)), rng.uniform(1, 6)
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    for number in [0] if rng.random() < 0.7 else [-1, 0, 1]:
        page.line(np.add(corners, [number * (right - left), 0]), ink, width)
    return page.photograph()


def underlined(rng: np.random.Generator, number: int) -> bytes:
    """A line under the digit."""
    page = Page(rng)
    size = rng.uniform(60, 180)
    at, ink, width = write(page, number, size)
    y = at[1] + size * rng.uniform(0.65, 0.9)
    left, right = at[0] - size * rng.uniform(0.4, 1.2), at[0] + size * rng.uniform(0.4, 1.2)
    same = rng.random() < 0.5
    ink, width = (ink, min(width, 8)) if same else (page.ink(60, 190), rng.uniform(1, 6))
    page.line([(left, y), (right, y)], ink, width)
    return page.photograph()


def screenshot(rng: np.random.Generator, number: int) -> bytes:
    """A window with a title bar, some with a frame and a status bar: sharp, not tilted."""
    page = Page(rng, (250, 256), tilt=0)
    bar = rng.uniform(14, 36)
    write(page, number, rng.uniform(80, 220), bar)
    ink = color(page.paper - rng.uniform(30, 220) * rng.uniform(0.4, 1, 3))
    strips = [(0, 0, 480, bar)]
    if rng.random() < 0.5:
        strips += [(0, 0, 2, 360), (478, 0, 480, 360), (0, 358, 480, 360)]
    if rng.random() < 0.3:
        strips += [(0, 345, 480, 360)]
    scale = 2 * page.scale
    for strip in strips:
        page.pen.rectangle([scale * side for side in strip], ink)
    for x in (470, 452, 434):
        middle = (scale * x, scale * bar / 2)
        page.pen.text(middle, "x", color(page.paper), anchor="mm", font_size=scale * bar / 2)
    return file_bytes(page.image.reduce(2))


def desk(rng: np.random.Generator, number: int) -> bytes:
    """A sheet on a desk that is darker or, rarely, lighter, with a grain."""
    page = Page(rng, (150, 250), tilt=10)
    lighter = page.paper.mean() < 190 and rng.random() < 0.5
    wood = np.clip(page.paper + (1 if lighter else -1) * rng.uniform(45, 150), 0, 255)
    grain = np.clip(rng.normal(0, rng.uniform(0, 6), (page.image.height, 1, 1)) + wood, 0, 255)
    page.image.paste(Image.fromarray(grain.astype(np.uint8)).resize(page.image.size))
    left, top, right, bottom = rng.uniform([15, 10, 330, 260], [150, 100, 465, 350])
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    page.pen.polygon(page.points(corners), color(page.paper))
    size = min(bottom - top, right - left) * rng.uniform(0.35, 0.7)
    margin = 0.7 * size
    at = rng.uniform([left + margin, top + margin], [right - margin, bottom - margin])
    page.digit(number, size, at, page.ink(110, 170), rng.uniform(0.04, 0.11))
    return page.photograph()


def no_digit(rng: np.random.Generator) -> bytes:
    """A letter, scribble, texture, the face of a die, an empty lined page or a barcode."""
    page = Page(rng)
    size = rng.uniform(80, 250)
    corner = rng.uniform((0, 0), (480 - size, 360 - size))
    ink, width = page.ink(120, 190), rng.uniform(0.03, 0.1) * size
    kind = rng.integers(6)
    if kind == 0:
        letter = str(rng.choice(list(string.ascii_letters)))
        scale = 2 * page.scale
        page.pen.text(tuple(scale * corner), letter, ink, font_size=scale * size)
    elif kind == 1:
        xy = rng.uniform(0, size, (rng.integers(8, 25), 2)) + corner
        page.line(smooth(xy), ink, min(width, 8))
    elif kind == 2:
        n = rng.integers(3, 80)
        texture = Image.fromarray(rng.integers(0, 256, (n, n, 3), np.uint8))
        page.image.paste(texture.resize(page.image.size))
    elif kind == 3:
        page.line(np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]) * size + corner, ink, 3)
        grid = [(x, y) for x in (0.2, 0.5, 0.8) for y in (0.2, 0.5, 0.8)]
        eyes = ((4,), (0, 8), (0, 4, 8), (0, 2, 6, 8), (0, 2, 4, 6, 8), (0, 1, 2, 6, 7, 8))
        for eye in eyes[rng.integers(6)]:
            page.line([np.array(grid[eye]) * size + corner] * 2, ink, 0.18 * size)
    elif kind == 4:
        rule(page)
    else:
        left, top = corner
        for x in left + size * np.cumsum(rng.uniform(0.025, 0.09, 16)):
            page.line([(x, top), (x, top + size / 2)], ink, rng.uniform(0.01, 0.04) * size)
    return page.photograph()


def sample(
    scene: Callable[[np.random.Generator, int], bytes], count: int, seed: int
) -> list[tuple[bytes, int]]:
    """Pictures and their labels; each form is as frequent as any other."""
    rng = np.random.default_rng(seed)
    numbers = [i % len(FORMS) for i in range(count)]
    return [(scene(rng, number), FORMS[number][0]) for number in numbers]
