"""Recognize digits in pictures: one in each, or rows of them with --digits.

Other commands: `python -m handwriting score` and `python -m handwriting dataset`, each with a
--help. The page to draw on: `make try`.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from digits import files, paths
from digits.errors import UserError
from digits.stage import run_main
from digits.text import printable
from handwriting import collection, pictures, preprocess, recognize, score
from tools import dataset
from tools.history import WORKSPACE

STANDARD_INPUT = Path("-")
# Labels that are integers in JSON.
NUMBERS = {str(number) for number in range(256)}
# Decoding and scaling run in parallel; for the rest, more threads only wait for each other.
THREADS = 2
REV_HELP = "take the models of another branch, tag, commit or experiment"


class Answer(NamedTuple):
    """Each model's digits in a picture and the least probability of one; whether to doubt them."""

    models: dict[str, dict[str, Any]]
    unsure: bool


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
        help="a picture, a folder of pictures, or - for standard input",
    )
    parser.add_argument("--digits", action="store_true", help="read rows of digits, such as 2026")
    parser.add_argument("--json", action="store_true", help="print a JSON object per picture")
    parser.add_argument(
        "--save", type=Path, metavar="FOLDER", help="write the models' input to a new folder"
    )
    parser.add_argument("--rev", default=WORKSPACE, help=REV_HELP)
    parser.add_argument("--label", metavar="LABEL", help="the label of all pictures")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="store the models' input under its --label"
    )
    options = parser.parse_args(arguments)
    if (options.label is None) != (options.keep is None):
        raise UserError("--label and --keep only work together: --label 7 --keep data/own")
    if options.pictures.count(STANDARD_INPUT) > 1:
        raise UserError("-: standard input can be read only once")
    for folder in filter(None, (options.save, options.keep)):
        # Fails before the models start.
        folder.mkdir(parents=True, exist_ok=True)
    if options.save and any(options.save.iterdir()):
        raise UserError(f"{options.save}: not empty; save to a new folder")
    trained = recognize.read(options.rev)
    if options.keep:
        collection.check_label(options.label, trained.labels)
    find = preprocess.digits if options.digits else _one_digit

    recognizer = None
    refused = False
    saved: set[str] = set()
    found = _expand(options.pictures)
    with ThreadPoolExecutor(THREADS) as pool:
        # One batch is in memory at a time.
        while batch := list(itertools.islice(found, recognize.BATCH)):
            results = list(pool.map(partial(_read, find), batch))
            images = [result for result in results if not isinstance(result, UserError)]
            answers: Iterator[Answer] = iter(())
            if images:
                recognizer = recognizer or recognize.start(trained)
                probabilities = recognizer(np.concatenate(images))
                answers = _answers(probabilities, images, trained.labels)
            for path, result in zip(batch, results, strict=True):
                if isinstance(result, UserError):
                    refused = True
                    _print_refusal(path, result, options.json)
                    continue
                _print_answer(path, next(answers), options.json)
                for image in result:
                    if options.save:
                        name = _unused(path.stem.strip("-") or "stdin", saved)
                        files.write(options.save / f"{name}.png", collection.png_bytes(image))
                    if options.keep:
                        collection.keep(image, options.label, options.keep)
    if refused:
        sys.exit(1)


def score_folder(arguments: list[str]) -> None:
    """Print how many of the kept images each model recognizes."""
    parser = _parser("score", "How many kept images each model recognizes, and what it confuses.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where --keep has stored them")
    parser.add_argument("--rev", default=WORKSPACE, help=REV_HELP)
    options = parser.parse_args(arguments)
    trained = recognize.read(options.rev)
    images, labels = collection.read(options.folder, trained.labels)
    recognizer = recognize.start(trained)
    print(f"{options.folder}: {len(labels)} images")
    print(*map(printable, score.report(recognizer(images), labels, trained.labels)), sep="\n")


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
    collection.check_name(options.new)
    raw, count = collection.added(options.folder, options.add_to)
    path = paths.raw(options.new)
    files.write(path, dataset.content(raw))
    print(f"{path}: {options.add_to} and {count} images of {options.folder} to train on")
    print(
        f"Next: dvc add {path}\n"
        f"      git add {path}.dvc {path.parent}/.gitignore && git commit -m 'My handwriting'\n"
        f"      dvc exp run -S prepare.dataset={options.new}\n"
        "      make compare REV=HEAD"
    )


def _parser(command: str, description: str) -> argparse.ArgumentParser:
    prog = f"python -m handwriting {command}".strip()
    return argparse.ArgumentParser(prog=prog, description=description)


def _expand(arguments: list[Path]) -> Iterator[Path]:
    """The pictures: files as given, and all those in folders; an empty folder as given."""
    for argument in arguments:
        if not argument.is_dir():
            yield argument
            continue
        inside = sorted(path for path in argument.rglob("*") if path.is_file())
        found = [path for path in inside if path.suffix.lower() in pictures.SUFFIXES]
        yield from found or [argument]
        if found and len(inside) > len(found):
            count = len(inside) - len(found)
            print(
                f"{printable(str(argument))}: files that are no pictures by their names: {count}",
                file=sys.stderr,
            )


def _one_digit(content: bytes, source: str) -> np.ndarray:
    return preprocess.digit(content, source)[np.newaxis]


def _read(find: Callable[[bytes, str], np.ndarray], path: Path) -> np.ndarray | UserError:
    """The digits in a picture as the models see them, or why it is refused."""
    source = printable(str(path))
    try:
        if path == STANDARD_INPUT:
            if sys.stdin is None:
                raise UserError("-: standard input is closed")
            return find(sys.stdin.buffer.read(pictures.MAX_BYTES + 1), source)
        if path.is_dir():
            raise UserError(f"{source}: no pictures in this folder")
        if path.exists() and not path.is_file():
            raise UserError(f"{source}: not a regular file")
        with path.open("rb") as file:
            return find(file.read(pictures.MAX_BYTES + 1), source)
    except UserError as error:
        return error
    except FileNotFoundError:
        return UserError(f"{source}: no such file")
    except OSError as error:
        return UserError(f"{source}: {error.strerror}")


def _answers(
    probabilities: Mapping[str, np.ndarray], images: list[np.ndarray], labels: Sequence[str]
) -> Iterator[Answer]:
    """For each picture, given its digits uint8 (n, 28, 28), the answer of each model."""
    unsure = recognize.unsure(probabilities)
    separator = "" if max(map(len, labels)) == 1 else " "
    start = 0
    for end in itertools.accumulate(map(len, images)):
        models = {}
        for name, found in probabilities.items():
            part = found[start:end]
            text = separator.join(labels[label] for label in part.argmax(axis=1))
            models[name] = {
                "digit": int(text) if text in NUMBERS and len(part) == 1 else text,
                "probability": round(float(part.max(axis=1).min()), 6),
            }
        yield Answer(models, bool(unsure[start:end].any()))
        start = end


def _print_answer(path: Path, answer: Answer, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"file": str(path), **answer.models, "unsure": answer.unsure}))
        return
    doubt = ", unsure" if answer.unsure else ""
    said = [
        f"{name} {read['digit']} ({100 * read['probability']:.1f}%{doubt})"
        for name, read in answer.models.items()
    ]
    print(printable(f"{path}: {', '.join(said)}"))


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


if __name__ == "__main__":
    run_main(main)
