"""From a picture to 28x28 pixels, as MNIST was made; and refusals."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from digits import data
from digits.errors import UserError
from handwriting import preprocess
from tests.photographs import SEVEN, TWO, drawn, file_bytes

# How much two images of the same line may differ on average, of 255. Place and size are rounded to
# whole pixels, so one image may also be shifted by a pixel, and half a pixel wider. Of all sizes
# from 60 to 1,200 pixels, the worst differs by 8.9.
TOLERANCE = 10
Points = list[tuple[float, float]]

PAPER = drawn([(0.5, 0.5)], stroke=0)
LINE = drawn(SEVEN)


def digit(image: Image.Image, format_: str = "PNG", **options: object) -> np.ndarray:
    return preprocess.digit(file_bytes(image, format_, **options), "picture")


def difference(first: np.ndarray, second: np.ndarray) -> float:
    shifts = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return min(
        float(np.abs(np.roll(first, shift, (0, 1)) - second.astype(float)).mean())
        for shift in shifts
    )


SEVEN_28 = digit(LINE)


def test_the_longer_side_has_20_pixels_and_the_center_of_mass_is_at_14() -> None:
    for points in (SEVEN, TWO):
        image = digit(drawn(points))
        assert image.dtype == np.uint8
        assert image.shape == (28, 28)
        assert image.max() == 255
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        for coordinates in np.indices(image.shape):
            # Rounded to whole pixels.
            assert abs((coordinates * image.astype(float)).sum() / image.sum() - 14) <= 0.51


def test_the_shape_is_kept() -> None:
    """The line of a 7: along the top, then down to the left."""
    image = SEVEN_28 > 127
    top, *_, bottom = np.flatnonzero(image.any(axis=1))
    across, foot = np.flatnonzero(image[top + 1]), np.flatnonzero(image[bottom])
    assert np.ptp(across) > 12
    assert foot.max() < across.mean()
    assert difference(SEVEN_28, digit(drawn(TWO))) > 3 * TOLERANCE


def test_mnist_comes_out_nearly_as_it_is() -> None:
    """The edge of a digit that MNIST draws in faint gray is not taken for ink here."""
    differences = [
        difference(digit(Image.fromarray(image)), image)
        for image in data.read_raw("mnist").x_test[:50]
    ]
    assert np.mean(differences) < 7


@given(
    points=st.sampled_from([SEVEN, TWO]),
    size=st.integers(60, 900),
    ink=st.integers(0, 100),
    slope=st.integers(-50, 50),
    noise=st.integers(0, 8),
    dark=st.booleans(),
)
@settings(max_examples=40)
def test_size_light_and_noise_change_little(
    points: Points, size: int, ink: int, slope: int, noise: int, dark: bool
) -> None:
    line = drawn(points, size=size, at=(size // 4, size // 3), page=(3 * size // 2, 3 * size // 2))
    light = np.linspace(180 - slope, 180 + slope, line.width) * (1 - np.asarray(line) / 255 < 0.5)
    pixels = np.maximum(light, ink) + np.random.default_rng(0).normal(0, noise, light.shape)
    image = Image.fromarray(np.clip(255 - pixels if dark else pixels, 0, 255).astype(np.uint8))
    assert difference(digit(image), digit(drawn(points))) <= TOLERANCE


def test_a_thin_pen_is_read_like_a_thick_one() -> None:
    thin, thick = digit(drawn(SEVEN, stroke=0.015)), SEVEN_28
    assert 0.5 < thin.sum() / thick.sum() < 1.2
    assert thin.max() == 255


@pytest.mark.parametrize("points", [SEVEN, TWO])
def test_a_picture_that_is_cut_out_closely(points: Points) -> None:
    """Ink covers much of its edge, which is paper in other pictures."""
    image = drawn(points, stroke=0.14)
    left, top, right, bottom = ImageOps.invert(image).getbbox() or (0, 0, 0, 0)
    close = image.crop((left - 5, top - 5, right + 5, bottom + 5))
    assert difference(digit(close), digit(image)) <= TOLERANCE
    assert difference(digit(ImageOps.invert(close)), digit(image)) <= TOLERANCE


def test_dirt_is_left_out() -> None:
    image = LINE.copy()
    ImageDraw.Draw(image).ellipse((20, 20, 26, 26), fill=0)
    assert difference(digit(image), SEVEN_28) <= TOLERANCE


def test_a_digit_of_two_pieces_that_are_close_is_one() -> None:
    image = LINE.copy()
    ImageDraw.Draw(image).rectangle((60, 110, 260, 120), fill=255)
    assert difference(digit(image), SEVEN_28) <= TOLERANCE


def rotated_by_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return file_bytes(LINE.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)


def ink_on_nothing(color: str) -> bytes:
    image = Image.new("RGBA", LINE.size, color)
    image.putalpha(ImageOps.invert(LINE))
    return file_bytes(image)


def in_colors(ink: str, paper: str) -> bytes:
    return file_bytes(ImageOps.colorize(LINE, ink, paper))


def many_bits(dtype: type, factor: float) -> bytes:
    return file_bytes(Image.fromarray((np.asarray(LINE) * factor).astype(dtype)), "TIFF")


def phone() -> bytes:
    """A JPEG file with a second picture, as phones write them."""
    other = Image.new("L", LINE.size, 90)
    return file_bytes(LINE, "MPO", save_all=True, append_images=[other])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(file_bytes(LINE, "JPEG"), id="JPEG"),
        pytest.param(file_bytes(LINE, "WEBP"), id="WebP"),
        pytest.param(file_bytes(LINE, "GIF"), id="GIF"),
        pytest.param(file_bytes(LINE, "TIFF"), id="TIFF"),
        pytest.param(file_bytes(LINE, "BMP"), id="BMP"),
        pytest.param(file_bytes(LINE.convert("1")), id="black and white"),
        pytest.param(file_bytes(LINE.convert("P")), id="palette"),
        pytest.param(file_bytes(LINE.convert("LA")), id="gray with alpha"),
        pytest.param(file_bytes(LINE.convert("CMYK"), "JPEG", quality=95), id="CMYK JPEG"),
        pytest.param(many_bits(np.uint16, 257.0), id="16 bits"),
        pytest.param(many_bits(np.uint16, 16.0), id="12 of 16 bits"),
        pytest.param(many_bits(np.float32, 1 / 255), id="floats"),
        pytest.param(rotated_by_exif(), id="EXIF rotation"),
        pytest.param(phone(), id="JPEG of a phone"),
        pytest.param(ink_on_nothing("black"), id="black on transparent"),
        pytest.param(ink_on_nothing("white"), id="white on transparent"),
        pytest.param(in_colors("#1030a0", "#f0e8d0"), id="blue on cream"),
        pytest.param(in_colors("red", "#008000"), id="red on green of the same brightness"),
        pytest.param(in_colors("yellow", "white"), id="yellow on white"),
    ],
)
def test_every_kind_of_picture_is_read_the_same(content: bytes) -> None:
    assert difference(preprocess.digit(content, "picture"), SEVEN_28) <= TOLERANCE


def test_a_heic_picture_is_read() -> None:
    pytest.importorskip("pillow_heif", reason="make setup EXTRAS=heic")
    image = LINE.convert("RGB")
    assert difference(digit(image, "HEIF", quality=80), SEVEN_28) <= TOLERANCE


def header_of_a_bomb(side: int) -> bytes:
    """A PNG file that says it has side x side pixels, and ends after its first compressed byte."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x")


def animated(format_: str) -> bytes:
    other = drawn(TWO)
    return file_bytes(LINE, format_, save_all=True, append_images=[other], duration=100)


ROW = (SEVEN, TWO)


def side_by_side() -> Image.Image:
    image = Image.new("L", (600, 320), 255)
    image.paste(drawn(SEVEN, page=(300, 320), at=(60, 40)), (0, 0))
    image.paste(drawn(TWO, page=(300, 320), at=(40, 40)), (300, 0))
    return image


def landscape() -> Image.Image:
    """Something with edges and shades at all scales: no digit, and no even paper."""
    rng = np.random.default_rng(0)
    pixels = np.zeros((240, 320))
    for cells in (2, 5, 12, 30, 80):
        cloud = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
        pixels += np.asarray(cloud.resize((320, 240), Image.Resampling.BICUBIC)) / np.sqrt(cells)
    return Image.fromarray((255 * (pixels - pixels.min()) / np.ptp(pixels)).astype(np.uint8))


def shape(kind: str) -> Image.Image:
    image = PAPER.copy()
    pen = ImageDraw.Draw(image)
    if kind == "disk":
        pen.ellipse((100, 60, 300, 260), fill=0)
    elif kind == "dash":
        pen.line((50, 160, 350, 160), fill=0, width=12)
    else:
        pen.text((20, 20), "The quick brown fox jumps\nover the lazy dog.", fill=0, font_size=28)
    return image


JPEG = file_bytes(LINE, "JPEG")
HEIC = "a HEIC picture: make setup EXTRAS=heic|not a picture"
NO_DIGIT = "no digit found"
SEVERAL = "more than one digit"
SMOOTH = Image.fromarray(np.tile(np.linspace(40, 220, 320).astype(np.uint8), (240, 1)))
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 320), dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"seven\n", "not a picture in a known format", id="text"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "not a picture in a known format", id="no header"),
        pytest.param(animated("GIF"), "more than one picture", id="animated GIF"),
        pytest.param(animated("WEBP"), "more than one picture", id="animated WebP"),
        pytest.param(animated("TIFF"), "more than one picture", id="pages"),
        pytest.param(JPEG[:2] + 101 * b"\xff\xda" + JPEG[2:], "a JPEG of more than", id="scans"),
        pytest.param(b"\0\0\0\x18ftypheic" + bytes(99), HEIC, id="HEIC"),
        pytest.param(header_of_a_bomb(8_000), "larger than 50 megapixels", id="64 megapixels"),
        pytest.param(header_of_a_bomb(20_000), "larger than 50 megapixels", id="400 megapixels"),
        pytest.param(header_of_a_bomb(1_000), "damaged", id="damaged PNG"),
        pytest.param(file_bytes(LINE, "JPEG")[:2000], "damaged", id="JPEG cut off"),
        pytest.param(file_bytes(PAPER), NO_DIGIT, id="white"),
        pytest.param(file_bytes(ImageOps.invert(PAPER)), NO_DIGIT, id="black"),
        pytest.param(file_bytes(Image.new("L", (1, 1))), NO_DIGIT, id="one pixel"),
        pytest.param(file_bytes(Image.new("RGBA", (90, 90))), NO_DIGIT, id="transparent"),
        pytest.param(file_bytes(SMOOTH), NO_DIGIT, id="light that fades"),
        pytest.param(file_bytes(NOISE), NO_DIGIT, id="noise"),
        pytest.param(file_bytes(landscape()), f"{NO_DIGIT}|{SEVERAL}", id="landscape"),
        pytest.param(file_bytes(shape("disk")), NO_DIGIT, id="disk"),
        pytest.param(file_bytes(shape("dash")), NO_DIGIT, id="dash"),
        pytest.param(file_bytes(shape("text")), f"{NO_DIGIT}|{SEVERAL}", id="lines of text"),
        pytest.param(file_bytes(side_by_side()), SEVERAL, id="two digits"),
    ],
)
def test_refusals(content: bytes, reason: str) -> None:
    with pytest.raises(UserError, match=f"^photos/7.png: ({reason})") as error:
        preprocess.digit(content, "photos/7.png")
    assert len(str(error.value).splitlines()) == 1


def test_a_row_of_digits_is_read_from_left_to_right() -> None:
    images = preprocess.digits(file_bytes(side_by_side()), "picture")
    assert len(images) == len(ROW)
    for image, points in zip(images, ROW, strict=True):
        assert difference(image, digit(drawn(points))) <= TOLERANCE


@pytest.mark.parametrize("kind", ["rules", "box", "underline", "bar", "desk"])
def test_rules_frames_bars_and_desks_are_left_out(kind: str) -> None:
    image = LINE.convert("RGB")
    pen = ImageDraw.Draw(image)
    if kind == "rules":
        for y in range(10, 320, 32):
            pen.line((0, y, 400, y + 12), "#7090c0", 2)
    elif kind == "box":
        pen.rectangle((70, 30, 250, 260), outline="black", width=4)
    elif kind == "underline":
        pen.line((60, 262, 260, 266), "black", 6)
    elif kind == "bar":
        pen.rectangle((0, 0, 400, 28), "#404060")
    else:
        image = ImageOps.expand(image, 70, "#604020")
    assert difference(digit(image), SEVEN_28) <= TOLERANCE


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(UserError):
        preprocess.digit(content, "picture")


@given(st.integers(0, len(file_bytes(LINE)) - 1), st.integers(1, 255))
def test_a_changed_byte_is_survived(position: int, change: int) -> None:
    content = bytearray(file_bytes(LINE))
    content[position] ^= change
    try:
        image = preprocess.digit(bytes(content), "picture")
    except UserError:
        return
    assert image.shape == (28, 28)
