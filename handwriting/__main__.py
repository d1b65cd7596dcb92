"""Recognize the digits in pictures, one digit in each.

Other commands: `python -m handwriting score` and `python -m handwriting dataset`, each with a
--help. The page to draw on: `make try`.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from digits import files, paths
from digits.errors import UserError
from digits.run import run_main
from handwriting import collection, preprocess, recognize, score
from tools import dataset

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
STANDARD_INPUT = Path("-")
# Decoding and scaling run in parallel; for the rest, more threads only wait for each other.
THREADS = 2
REV_HELP = "take the models of another branch, tag, commit or experiment"


def main() -> None:
    commands = {"score": score_folder, "dataset": write_dataset}
    command, *arguments = sys.argv[1:] or [""]
    if command in commands:
        commands[command](arguments)
    else:
        recognize_pictures(sys.argv[1:])


def recognize_pictures(arguments: list[str]) -> None:
    """Print a line for each picture; exit with status 1 if one of them was refused."""
    parser = _parser("", str(__doc__))
    parser.add_argument(
        "pictures",
        nargs="+",
        type=Path,
        metavar="PICTURE",
        help="a PNG, JPEG or WebP file, a folder of them, or - for standard input",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object per picture")
    parser.add_argument(
        "--save", type=Path, metavar="FOLDER", help="write what the models see, as PNG files"
    )
    parser.add_argument("--rev", default="", help=REV_HELP)
    parser.add_argument("--label", metavar="DIGIT", help="the digit that all pictures show")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="store what the models see under its --label"
    )
    options = parser.parse_args(arguments)
    if (options.label is None) != (options.keep is None):
        raise UserError("--label and --keep only work together: --label 7 --keep data/own")
    label = collection.parse_label(options.label) if options.keep else 0
    if options.save:
        _check_apart(options.save, options.pictures)
    for folder in filter(None, (options.save, options.keep)):
        # Fails before the models start.
        folder.mkdir(parents=True, exist_ok=True)
    layers = recognize.read(options.rev)

    recognizer = None
    refused = False
    saved: set[str] = set()
    pictures = _expand(options.pictures)
    with ThreadPoolExecutor(THREADS) as pool:
        # One batch is in memory at a time.
        while batch := list(itertools.islice(pictures, recognize.BATCH)):
            results = list(pool.map(_read, batch))
            images = [result for result in results if not isinstance(result, UserError)]
            if images and not recognizer:
                recognizer = recognize.start(layers)
            answers = iter(_answers(recognizer(np.stack(images))) if recognizer and images else ())
            for path, result in zip(batch, results, strict=True):
                if isinstance(result, UserError):
                    refused = True
                    _print_refusal(path, result, options.json)
                    continue
                _print_answer(path, next(answers), options.json)
                if options.save:
                    name = _unused(path.stem.strip("-") or "stdin", saved)
                    files.write(options.save / f"{name}.png", collection.png_bytes(result))
                if options.keep:
                    collection.keep(result, label, options.keep)
    if refused:
        sys.exit(1)


def score_folder(arguments: list[str]) -> None:
    """Print how many of the kept images each model recognizes."""
    parser = _parser("score", "How many kept images each model recognizes, and what it confuses.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where --keep has stored them")
    parser.add_argument("--rev", default="", help=REV_HELP)
    options = parser.parse_args(arguments)
    images, labels = collection.read(options.folder)
    recognizer = recognize.start(recognize.read(options.rev))
    print(f"{options.folder}: {len(labels)} images")
    print(score.report(recognizer(images), labels))


def write_dataset(arguments: list[str]) -> None:
    """Write a data set with the kept images added to its training images."""
    parser = _parser(
        "dataset",
        "Write data/raw/NEW.npz: data/raw/NAME.npz with the kept images added to its training "
        "images. The test images stay as they are, so that metrics can be compared.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where --keep has stored them")
    parser.add_argument("--add-to", required=True, metavar="NAME", help="such as mnist")
    parser.add_argument("--as", required=True, metavar="NEW", help="such as mnist_own", dest="new")
    options = parser.parse_args(arguments)
    collection.check_name(options.new, options.add_to)
    digits, count = collection.added(options.folder, options.add_to)
    path = paths.raw(options.new)
    files.write(path, dataset.content(digits))
    print(f"{path}: {options.add_to} and {count} images of {options.folder} to train on")
    print(
        f"Next: dvc add {path}\n"
        f"      dvc exp run -S prepare.dataset={options.new}\n"
        "      make compare REV=HEAD"
    )


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    prog = f"python -m handwriting {command}".strip()
    return argparse.ArgumentParser(prog=prog, description=description)


def _expand(arguments: list[Path]) -> Iterator[Path]:
    """The pictures: files as given, and all those in folders; an empty folder as given."""
    for argument in arguments:
        if argument.is_dir():
            found = (path for path in argument.rglob("*") if path.suffix.lower() in SUFFIXES)
            yield from sorted(path for path in found if path.is_file()) or [argument]
        else:
            yield argument


def _read(path: Path) -> np.ndarray | UserError:
    """The digit in a picture as the models see it, or why it is refused."""
    try:
        if path.is_dir():
            raise UserError(f"{_printable(path)}: no PNG, JPEG or WebP files in this folder")
        with sys.stdin.buffer if path == STANDARD_INPUT else path.open("rb") as file:
            content = file.read(preprocess.LARGEST_BYTES + 1)
        return preprocess.digit(content, _printable(path))
    except UserError as error:
        return error
    except FileNotFoundError:
        return UserError(f"{_printable(path)}: no such file")
    except OSError as error:
        return UserError(f"{_printable(path)}: {error.strerror}")


def _check_apart(save: Path, pictures: list[Path]) -> None:
    """Raise UserError if what is saved could overwrite pictures, or be taken for some."""
    target = save.resolve()
    for picture in pictures:
        inside = picture.is_dir() and target.is_relative_to(picture.resolve())
        if inside or target == picture.parent.resolve():
            raise UserError(f"{save}: the pictures are there; save to another folder")


def _answers(probabilities: Mapping[str, np.ndarray]) -> list[dict[str, dict[str, float]]]:
    """For each image, the digit that each model sees and its probability."""
    best = {name: (of.argmax(axis=1), of.max(axis=1)) for name, of in probabilities.items()}
    n = len(next(iter(probabilities.values())))
    return [
        {
            name: {"digit": int(digits[i]), "probability": round(float(maxima[i]), 6)}
            for name, (digits, maxima) in best.items()
        }
        for i in range(n)
    ]


def _print_answer(path: Path, answer: Mapping[str, dict[str, float]], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"file": str(path), **answer}))
        return
    said = [
        f"{name} {of['digit']} ({100 * of['probability']:.1f} %)" for name, of in answer.items()
    ]
    print(f"{_printable(path)}: {', '.join(said)}")


def _print_refusal(path: Path, error: UserError, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"file": str(path), "error": str(error)}))
    print(f"error: {error}", file=sys.stderr)


def _unused(stem: str, used: set[str]) -> str:
    """`stem`, or `stem`-2, `stem`-3, ... if it is among `used`, to which the result is added."""
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    name = next(name for name in names if name not in used)
    used.add(name)
    return name


def _printable(path: Path) -> str:
    """The path in one line, with a question mark for each byte that cannot be printed."""
    return "".join(char if char.isprintable() else "?" for char in str(path))


if __name__ == "__main__":
    run_main(main)
