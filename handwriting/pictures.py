"""Read the brightness of a picture file."""

import io
import warnings
from contextlib import suppress

import numpy as np
from PIL import Image, ImageOps

from digits.plumbing.errors import UserError, first_line

FORMATS = ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"]
with suppress(ModuleNotFoundError):
    # The extra `heic` installs it.
    import pillow_heif

    pillow_heif.register_heif_opener()
    FORMATS.append("HEIF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif")
HEIC = "HEIC needs make setup EXTRAS=heic; or save it as JPEG"
MAX_BYTES = 100 * 10**6
TOO_LARGE = "larger than 50 megapixels or 100 MB"
# Pillow refuses a picture of more than twice as many pixels, before it decompresses any.
Image.MAX_IMAGE_PIXELS = 25 * 10**6
# A progressive JPEG has about ten; each takes as long to decode as a whole picture.
MAX_SCANS = 100
START_OF_SCAN = b"\xff\xda"

# Pillow warns about damaged EXIF data and large pictures.
warnings.filterwarnings("ignore", module=r"PIL\.")


def brightness(content: bytes, side: int) -> np.ndarray:
    """Return the color channel with the greatest contrast: float32 (height, width) in 0..255.

    The picture is upright, and its longer side has at most `side` pixels. Raises UserError if
    `content` is not a picture, holds several, or is too large.
    """
    image = _decode(content, side)
    if image.mode == "RGBA":
        pixels = np.asarray(image)
        visible = pixels[pixels[..., 3] > 127, :3]
        # Light ink alone was drawn for a dark background.
        background = "black" if visible.size and visible.min() > 127 else "white"
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
        image = image.convert("RGB")
    some = np.asarray(image.resize((side // 4, side // 4), Image.Resampling.NEAREST), np.float32)
    contrast = some.reshape(some.shape[0] * some.shape[1], -1).std(axis=0)
    channel = image.getchannel(int(contrast.argmax()))
    channel.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=1.0)
    # In a small picture, smoothing the noise would blur strokes.
    times = max(1, 3 * side // 4 // max(channel.size))
    return np.asarray(ImageOps.scale(channel.convert("F"), times, Image.Resampling.BICUBIC))


def _decode(content: bytes, side: int) -> Image.Image:
    """Return the picture in mode L, RGB or RGBA."""
    if not content:
        raise UserError("the file is empty")
    if len(content) > MAX_BYTES:
        raise UserError(TOO_LARGE)
    if content.startswith(b"\xff\xd8") and content.count(START_OF_SCAN) > MAX_SCANS:
        raise UserError(f"a JPEG of more than {MAX_SCANS} scans; save it again")
    try:
        # Pillow reads the header only.
        image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise UserError(TOO_LARGE) from None
    except Exception:
        # A damaged header raises any of several kinds.
        if content[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1") and "HEIF" not in FORMATS:
            raise UserError(HEIC) from None
        raise UserError("not a picture in a known format, such as PNG or JPEG") from None
    # A phone's JPEG or HEIC may hold more pictures, of which the first is the photograph.
    if image.format not in ("MPO", "HEIF") and getattr(image, "n_frames", 1) > 1:
        raise UserError("more than one picture in the file; save one of them")
    try:
        # A JPEG is decoded at a fraction of its size.
        image.draft(None, (side, side))
        ImageOps.exif_transpose(image, in_place=True)
        if image.mode[0] in "IF":
            # 16 or more bits per pixel, of which a file may use a few.
            values = np.asarray(image, np.float32)
            image = Image.fromarray((values * (255 / max(values.max(), 1e-9))).astype(np.uint8))
        elif image.has_transparency_data:
            image = image.convert("RGBA")
            # Blending takes memory.
            image.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=1.0)
        elif image.mode != "L":
            image = image.convert("RGB")
        image.load()
    except Exception as error:
        raise UserError(f"damaged ({first_line(error)})") from None
    return image
