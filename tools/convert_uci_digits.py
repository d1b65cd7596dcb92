"""How data/raw/uci_digits.npz was made; data/raw/README.md says from what.

Run once, with scikit-learn (which the project itself does not need) beside NumPy and Pillow:

    python -m tools.convert_uci_digits
"""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from stages.lib import datasets

TEST_IMAGES = 297


def enlarge(image: np.ndarray) -> np.ndarray:
    """An 8x8 image with values 0 to 16 -> 28x28 uint8, laid out as in MNIST: 20x20, margin 4."""
    grey = Image.fromarray(np.round(image * (255 / 16)).astype(np.uint8))
    return np.pad(np.asarray(grey.resize((20, 20), Image.Resampling.BICUBIC)), 4)


def main() -> None:
    source = load_digits()
    images = np.stack([enlarge(image) for image in source.images])
    labels = source.target.astype(np.uint8)
    digits = datasets.Digits(
        images[:-TEST_IMAGES], labels[:-TEST_IMAGES], images[-TEST_IMAGES:], labels[-TEST_IMAGES:]
    )
    np.savez_compressed(datasets.UCI_DIGITS, **digits._asdict())
    print(datasets.digest(digits))


if __name__ == "__main__":
    main()
