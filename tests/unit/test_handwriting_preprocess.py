"""From a picture to 28x28 pixels, as MNIST was made; and refusals."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageOps
from scipy import ndimage

from digits import data
from digits.plumbing.errors import UserError
from handwriting import preprocess
from tests.photographs import SEVEN, TWO, drawn, file_bytes

# How much two images of the same line may differ on average, of 255. Place and size are rounded to
# whole pixels, so one image may also be shifted by a pixel, and half a pixel wider. Of all sizes
# from 60 to 1,200 pixels, the worst differs by 8.9.
TOLERANCE = 10

PAPER = drawn([(0.5, 0.5)], stroke=0)
LINE = drawn(SEVEN)


def digit(image: Image.Image, format_: str = "PNG") -> np.ndarray:
    return np.squeeze(preprocess.digits(file_bytes(image, format_)), axis=0)


def difference(first: np.ndarray, second: np.ndarray) -> float:
    shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return min(
        float(np.abs(np.roll(first, shift, (0, 1)) - second.astype(float)).mean())
        for shift in shifts
    )


SEVEN_28 = digit(LINE)


def test_mnist_comes_out_nearly_as_it_is() -> None:
    """The longer side has 20 pixels, and the center of mass is the pixel (14, 14)."""
    differences = []
    for image in data.read_raw("mnist").x_test[:50]:
        found = digit(Image.fromarray(image))
        assert (found.shape, found.dtype.name, found.max()) == ((28, 28), "uint8", 255)
        assert max(np.ptp(side) for side in np.nonzero(found)) + 1 == 20
        # Rounded to whole pixels.
        assert np.abs(np.subtract(ndimage.center_of_mass(found), 14)).max() <= 0.51
        # The edge of a digit that MNIST draws in faint gray is not taken for ink here.
        differences.append(difference(found, image))
    assert np.mean(differences) < 7


def test_size_place_and_inversion_change_little() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        size, x, y, dark = map(int, rng.integers((80, 0, 0, 0), (281, 201, 201, 2)))
        image = ImageOps.expand(drawn(SEVEN, size), (x, y, 0, 0), 255)
        found = digit(ImageOps.invert(image) if dark else image)
        assert difference(found, SEVEN_28) <= TOLERANCE, (size, x, y, dark)


def test_a_picture_that_is_cut_out_closely() -> None:
    """Ink covers much of its edge, which is paper in other pictures."""
    image = drawn(TWO, stroke=0.14)
    left, top, right, bottom = ImageOps.invert(image).getbbox() or (0, 0, 0, 0)
    close = image.crop((left - 5, top - 5, right + 5, bottom + 5))
    for either in (close, ImageOps.invert(close)):
        assert difference(digit(either), digit(image)) <= TOLERANCE


@pytest.mark.parametrize("format_", ["JPEG", "WEBP", "BMP", "TIFF", "GIF", "HEIF"])
def test_every_format_is_read(format_: str) -> None:
    if format_ == "HEIF":
        pytest.importorskip("pillow_heif", reason="make setup EXTRAS=heic")
    assert difference(digit(LINE.convert("RGB"), format_), SEVEN_28) <= TOLERANCE


def on_nothing(ink: str) -> Image.Image:
    image = Image.new("RGBA", LINE.size, ink)
    image.putalpha(ImageOps.invert(LINE))
    return image


def many_bits(dtype: type, factor: float) -> Image.Image:
    return Image.fromarray((np.asarray(LINE) * factor).astype(dtype))


def with_shape(image: Image.Image, shape: str, *box: int, **options: Any) -> Image.Image:
    image = image.convert("RGB")
    getattr(ImageDraw.Draw(image), shape)(box, **options)
    return image


CLOSE = LINE.crop((70, 30, 250, 260))
PALE = ImageOps.colorize(LINE, "#5060b0", "white")
BAR = with_shape(PALE, "rectangle", 0, 0, 400, 28, fill="#a09040")
MARKER = with_shape(PAPER, "rectangle", 60, 60, 260, 200, fill="#ffe080")
MARKED = ImageChops.multiply(LINE.convert("RGB"), MARKER)


def lined(image: Image.Image) -> Image.Image:
    for y in range(10, 320, 32):
        image = with_shape(image, "line", 0, y, 400, y + 12, fill="#7090c0", width=3)
    return image


@pytest.mark.parametrize(
    "image",
    [
        *(pytest.param(LINE.convert(mode), id=mode) for mode in ("1", "P", "LA", "CMYK")),
        pytest.param(many_bits(np.uint16, 257.0), id="16 bits"),
        pytest.param(many_bits(np.uint16, 16.0), id="12 of 16 bits"),
        pytest.param(many_bits(np.float32, 1 / 255), id="floats"),
        pytest.param(on_nothing("black"), id="black on transparent"),
        pytest.param(on_nothing("white"), id="white on transparent"),
        pytest.param(ImageOps.colorize(LINE, "red", "#008000"), id="as bright as its paper"),
        pytest.param(ImageOps.colorize(LINE, "yellow", "white"), id="yellow on white"),
        pytest.param(drawn(SEVEN, stroke=0.015), id="thin pen"),
        pytest.param(with_shape(LINE, "ellipse", 20, 20, 26, 26, fill=0), id="dirt"),
        pytest.param(with_shape(LINE, "line", 60, 115, 260, 115, fill="white", width=10), id="gap"),
        pytest.param(lined(LINE), id="rules"),
        pytest.param(with_shape(LINE, "rectangle", 70, 30, 250, 260, outline=0, width=4), id="box"),
        pytest.param(with_shape(LINE, "line", 60, 262, 260, 266, fill=0, width=6), id="underline"),
        pytest.param(with_shape(BAR, "ellipse", 9, 9, 17, 17, fill=0), id="title bar"),
        pytest.param(ImageOps.expand(LINE, 70, 90), id="desk"),
        pytest.param(ImageOps.expand(ImageOps.invert(CLOSE), 200, 230), id="on a black label"),
        pytest.param(ImageOps.expand(MARKED, 200, "white"), id="under a marker"),
    ],
)
def test_what_is_not_the_digit_changes_little(image: Image.Image) -> None:
    assert difference(digit(image, "TIFF"), SEVEN_28) <= TOLERANCE


def test_a_photograph_of_a_phone_held_upright() -> None:
    """Turned by EXIF, and with a second picture in the file."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = LINE.transpose(Image.Transpose.ROTATE_90)
    content = file_bytes(turned, "MPO", exif=exif, save_all=True, append_images=[PAPER])
    assert difference(preprocess.digits(content)[0], SEVEN_28) <= TOLERANCE


JPEG = file_bytes(LINE, "JPEG")
MOVING = file_bytes(LINE, "GIF", save_all=True, append_images=[PAPER])
ROW = Image.new("L", (800, 320))
ROW.paste(LINE, (0, 0))
ROW.paste(drawn(TWO), (400, 0))
NO_DIGIT = "no digit found"
DISK = with_shape(PAPER, "ellipse", 100, 60, 300, 260, fill=0)
DASH = with_shape(PAPER, "rounded_rectangle", 50, 150, 350, 170, radius=10, fill=0)
FADING = Image.fromarray(np.tile(np.linspace(40, 220, 320).astype(np.uint8), (240, 1)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"seven\n", "not a picture in a known format", id="text"),
        pytest.param(MOVING, "more than one picture", id="animated GIF"),
        pytest.param(JPEG[:2] + 101 * b"\xff\xda" + JPEG[2:], "a JPEG of more than", id="scans"),
        pytest.param(b"\0\0\0\x18ftypheic" + bytes(99), "HEIC needs|not a pic", id="HEIC"),
        pytest.param(file_bytes(Image.new("1", (8000, 8000))), "larger than 50 meg", id="bomb"),
        pytest.param(JPEG[:2000], "damaged", id="JPEG cut off"),
        pytest.param(file_bytes(PAPER), NO_DIGIT, id="white"),
        pytest.param(file_bytes(FADING), NO_DIGIT, id="light that fades"),
        pytest.param(file_bytes(DISK), NO_DIGIT, id="disk"),
        pytest.param(file_bytes(DASH), NO_DIGIT, id="dash"),
        pytest.param(file_bytes(lined(PAPER)), NO_DIGIT, id="lined paper"),
        pytest.param(file_bytes(ROW), "more than one digit", id="two digits"),
    ],
)
def test_refusals(content: bytes, reason: str) -> None:
    with pytest.raises(UserError, match=f"^({reason})") as error:
        preprocess.digits(content)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("gap", [-3, 6, 30, 60])
def test_two_digits_close_together_are_two(gap: int) -> None:
    """They touch, or are less than a fifth of their height, 200 pixels, apart."""
    left, right = (ImageOps.invert(image) for image in (LINE, drawn(TWO)))
    left, right = left.crop(left.getbbox()), right.crop(right.getbbox())
    pair = Image.new("L", (600, 400))
    pair.paste(left, (100, 100))
    pair.paste(right, (100 + left.width + gap, 100), right)
    with pytest.raises(UserError, match=r"^more than one digit"):
        preprocess.digits(file_bytes(pair))
    assert len(preprocess.digits(file_bytes(pair), row=True)) == 2


def test_a_row_of_digits_is_read_from_left_to_right() -> None:
    seven, two = preprocess.digits(file_bytes(ROW), row=True)
    assert difference(seven, SEVEN_28) <= TOLERANCE
    assert difference(two, digit(drawn(TWO))) <= TOLERANCE
    # As on a meter.
    windows = Image.new("L", (800, 400), 230)
    for left, image in ((100, CLOSE), (300, drawn(TWO).crop((70, 30, 250, 240)))):
        windows.paste(ImageOps.invert(image), (left, 80))
    seven, two = preprocess.digits(file_bytes(windows), row=True)
    assert difference(seven, SEVEN_28) <= TOLERANCE
    assert difference(two, digit(drawn(TWO))) <= TOLERANCE
