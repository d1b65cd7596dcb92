"""Recognize digits in pictures: one in each, or rows of them with --digits.

A PICTURE is a file, a folder with pictures, or - for standard input.
Other commands: `python -m handwriting score` and `python -m handwriting dataset`, each with a
--help. The page to draw on: `make try`.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from digits.plumbing import files, paths
from digits.plumbing.errors import UserError
from digits.plumbing.stage import run_main
from digits.plumbing.terminal import sanitize
from handwriting import collection, pictures, preprocess, recognize
from revisions.files import WORKSPACE
from tools import dataset

PROGRAM = "python -m handwriting"
STANDARD_INPUT = Path("-")
# Labels that are integers in JSON.
NUMBERS = {str(number) for number in range(256)}
# Pictures are read in parallel, then answered: at the same time, threads wait for each other.
BATCH, THREADS = 100, 2
REV_HELP = "take the models of a different branch, tag, commit or experiment"


def main() -> None:
    commands = {"score": score_folder, "dataset": write_dataset}
    command, *arguments = sys.argv[1:] or [""]
    if command in commands:
        commands[command](arguments)
    else:
        recognize_pictures(sys.argv[1:])


def recognize_pictures(arguments: list[str]) -> None:
    """Print a line for each picture; exit with status 1 if one of them was refused."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    add = parser.add_argument
    add("pictures", nargs="+", type=Path, metavar="PICTURE")
    add("--digits", action="store_true", help="read rows of digits, such as 2026")
    add("--json", action="store_true", help="print a JSON object per picture")
    add("--save", type=Path, metavar="FOLDER", help="write the models' input to a new folder")
    add("--rev", default=WORKSPACE, help=REV_HELP)
    add("--label", help="the label of all pictures")
    add("--keep", type=Path, metavar="FOLDER", help="store the models' input under its --label")
    options = parser.parse_args(arguments)
    if (options.label is None) != (options.keep is None):
        raise UserError("--label and --keep only work together: --label 7 --keep data/own")
    if options.save and options.save.exists():
        raise UserError(f"{options.save} already exists; save to a new folder")
    trained = recognize.read(options.rev)
    if options.keep:
        collection.check_label(options.label, trained.labels)
    if options.save:
        options.save.mkdir(parents=True)

    recognizer = None
    refused = False
    numbers = itertools.count(1)
    chosen = list(_expand(options.pictures))
    for path, images in _read_all(chosen, options.digits):
        if isinstance(images, str):
            refused = True
            _print(path, {"error": images}, options.json)
            continue
        recognizer = recognizer or recognize.start(trained)
        _print(path, _response(recognizer(images), trained.labels, images), options.json)
        for image in images:
            if options.save:
                name = f"{next(numbers):04}_{path.stem}.png"
                files.write(options.save / name, collection.png_bytes(image))
            if options.keep:
                collection.keep(image, options.label, options.keep)
    if refused:
        sys.exit(1)


def score_folder(arguments: list[str]) -> None:
    """Print how many of the kept images each model recognizes, and the labels that it confuses."""
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} score", description=score_folder.__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where --keep has stored them")
    parser.add_argument("--rev", default=WORKSPACE, help=REV_HELP)
    options = parser.parse_args(arguments)
    trained = recognize.read(options.rev)
    images, labels = collection.read(options.folder, trained.labels)
    recognizer = recognize.start(trained)
    print(f"{options.folder}: {collection.counted(len(labels), 'image')}")
    report = collection.report(recognizer(images), labels, trained.labels)
    print(*map(sanitize, report), sep="\n")


def write_dataset(arguments: list[str]) -> None:
    """Write data/raw/NEW.npz: data/raw/NAME.npz with the kept images added to its training images.

    The test images stay as they are, so that metrics can be compared.
    """
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} dataset", description=write_dataset.__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where --keep has stored them")
    parser.add_argument("--add-to", required=True, metavar="NAME", help="such as mnist")
    parser.add_argument("--as", required=True, metavar="NEW", help="such as mnist_own", dest="new")
    options = parser.parse_args(arguments)
    collection.check_name(options.new)
    raw, count = collection.added(options.folder, options.add_to)
    path = paths.raw(options.new)
    images = collection.counted(count, "image")
    files.write(path, dataset.content(raw))
    print(
        f"{path}: {options.add_to} and {images} of {options.folder} to train on\n"
        f"Next: dvc add {path}\n"
        f"      git add {path}.dvc {path.parent}/.gitignore && git commit -m 'My handwriting'\n"
        f"      dvc exp run -S prepare.dataset={options.new}\n"
        "      make compare REV=HEAD"
    )


def _expand(arguments: list[Path]) -> Iterator[Path]:
    """Yield the pictures: files as given, and all those in folders; an empty folder as given."""
    for argument in arguments:
        inside: list[Path] = []
        # A bad name is refused where it is read.
        with suppress(OSError):
            inside = sorted(path for path in argument.rglob("*") if path.is_file())
        chosen = [path for path in inside if path.suffix.lower() in pictures.SUFFIXES]
        yield from chosen or [argument]
        if chosen and len(inside) > len(chosen):
            skipped = collection.counted(len(inside) - len(chosen), "file")
            place = sanitize(str(argument))
            print(f"{place}: skipped {skipped} without a picture extension", file=sys.stderr)


def _read_all(chosen: Sequence[Path], row: bool) -> Iterator[tuple[Path, np.ndarray | str]]:
    """Yield each picture and the result of `_read`. A batch is also the longest wait for Ctrl-C."""
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(chosen), BATCH):
            batch = chosen[start : start + BATCH]
            yield from zip(batch, list(pool.map(partial(_read, row), batch)), strict=True)


def _read(row: bool, path: Path) -> np.ndarray | str:
    """Return a picture's digits as the models see them, uint8 (n, 28, 28), or why it is refused."""
    try:
        return preprocess.digits(_content(path), row)
    except UserError as error:
        return f"{path}: {error}"
    except OSError as error:
        return f"{path}: {error.strerror}"


def _content(path: Path) -> bytes:
    """Return the content of a picture file, or more than MAX_BYTES of it."""
    if path == STANDARD_INPUT:
        if sys.stdin is None:
            raise UserError("standard input is closed")
        return sys.stdin.buffer.read(pictures.MAX_BYTES + 1)
    if path.is_dir():
        raise UserError("no pictures in this folder")
    # Opening a pipe would wait for its writer.
    if path.exists() and not path.is_file():
        raise UserError("not a regular file")
    with path.open("rb") as file:
        return file.read(pictures.MAX_BYTES + 1)


def _response(
    probabilities: Mapping[str, np.ndarray], labels: Sequence[str], images: np.ndarray
) -> dict[str, Any]:
    """Return the models' predictions as in JSON, given probabilities float64 (digits, labels)."""
    response: dict[str, Any] = {}
    for name, values in probabilities.items():
        separator = "" if max(map(len, labels)) == 1 else " "
        text = separator.join(labels[label] for label in values.argmax(axis=1))
        response[name] = {
            "digit": int(text) if text in NUMBERS and len(values) == 1 else text,
            "probability": round(float(values.max(axis=1).min()), 6),
        }
    return response | {"unsure": recognize.unsure(probabilities, images)}


def _print(path: Path, response: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"file": str(path), **response}))
    if "error" in response:
        print(sanitize(f"error: {response['error']}"), file=sys.stderr)
    elif not as_json:
        doubt = ", unsure" if response.pop("unsure") else ""
        texts = [
            f"{name} {read['digit']} ({100 * read['probability']:.1f}%{doubt})"
            for name, read in response.items()
        ]
        print(sanitize(f"{path}: {', '.join(texts)}"))


if __name__ == "__main__":
    run_main(main)
