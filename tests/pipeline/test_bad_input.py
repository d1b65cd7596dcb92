"""What goes wrong is said in a line or a few, with status 1, and leaves every output as it was."""

import io
import json
import math
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest
from ruamel.yaml import YAML

from stages.lib import params
from tests.conftest import Workspace, committed

STAGES = ("prepare", "train_linear", "train_hidden", "evaluate")
SHIPPED, DROPPED_IN = "data/raw/uci_digits.npz", "data/raw/mnist.npz"
TRAIN, VALIDATION, TEST = (f"data/prepared/{name}.npz" for name in ("train", "validation", "test"))
LINEAR, HIDDEN = "models/linear.keras", "models/hidden.keras"

# Spoils the intact file whose path it is given, in the workspace's folder.
Spoil = Callable[[Path], object]
# What is wrong, how it comes about, and how the message goes on after the file's name.
Mistakes = list[tuple[str, Spoil, str]]


class Case(NamedTuple):
    """The stage that is run, the file that is spoilt, and the message after the file's name."""

    stage: str
    file: str
    spoil: Spoil
    message: str


def holding(content: bytes) -> Spoil:
    return lambda path: path.write_bytes(content)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


def another(name: str) -> Spoil:
    return lambda path: shutil.copyfile(name, path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def with_params(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """Change the parsed params.yaml."""

    def spoil(path: Path) -> None:
        yaml = YAML(typ="safe", pure=True)
        values = yaml.load(path)
        change(values)
        yaml.dump(values, path)

    return spoil


def with_arrays(**changes: Callable[[np.ndarray], np.ndarray] | None) -> Spoil:
    """Change arrays of an .npz file; None leaves one out. Pickles an array of objects."""

    def spoil(path: Path) -> None:
        arrays = dict(np.load(path))
        for name, change in changes.items():
            array = arrays.pop(name)
            if change:
                arrays[name] = change(array)
        np.savez(path, **arrays)

    return spoil


def one(value: float) -> Callable[[np.ndarray], np.ndarray]:
    """Put a value into the first place of an array."""

    def change(array: np.ndarray) -> np.ndarray:
        array.flat[0] = value
        return array

    return change


def with_entries(change: Callable[[dict[str, bytes]], object]) -> Spoil:
    """Change the entries of a .keras file."""

    def spoil(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        change(entries)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in entries.items():
                archive.writestr(name, content)

    return spoil


def with_layer(**values: object) -> Spoil:
    """Change what a .keras file says of its first Dense layer."""

    def change(entries: dict[str, bytes]) -> None:
        config = json.loads(entries["config.json"])
        config["config"]["layers"][1] |= values
        entries["config.json"] = json.dumps(config).encode()

    return with_entries(change)


def with_a_weight_that_is_no_number(entries: dict[str, bytes]) -> None:
    file = io.BytesIO(entries["model.weights.h5"])
    with h5py.File(file, "r+") as weights:
        weights["layers/dense/vars/0"][0, 0] = math.nan
    entries["model.weights.h5"] = file.getvalue()


def claiming(*shape: int) -> Spoil:
    """Have every array of an .npz file claim another shape and hold nothing."""

    def spoil(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                with archive.open(name, "w") as member:
                    claim = {"descr": "<f4", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(member, claim)

    return spoil


PARAMETERS = [
    (group, name)
    for group, field in params.Params.model_fields.items()
    for name in field.annotation.model_fields  # type: ignore[union-attr]
]
BAD_VALUES: dict[str, object] = {
    "null": None,
    "a word": "yes",
    "a number in quotes": "5",
    "a fraction": 5.5,
    "a whole number with a point": 5.0,
    "NaN": math.nan,
    "infinity": math.inf,
    "negative": -1,
    "zero": 0,
    "huge": 10**30,
    "a list": [5],
    "an object": {"value": 5},
}
ZERO_IS_FINE = {"validation_size", "seed"}


def bad_value(group: str, name: str, kind: str) -> tuple[Spoil, str]:
    def change(values: dict[str, Any]) -> None:
        values[group][name] = BAD_VALUES[kind]

    return with_params(change), f": {group}.{name} is {BAD_VALUES[kind]!r}; must be "


def missing(group: str, name: str) -> tuple[Spoil, str]:
    return with_params(lambda values: values[group].pop(name)), f": {group}.{name} is missing; must"


def unknown(group: str, name: str) -> tuple[Spoil, str]:
    return (
        with_params(lambda values: values[group].update({f"{name}_": 1})),
        f": {group}.{name}_ is not a parameter; known here: ",
    )


def every_mistake(group: str, name: str) -> dict[str, tuple[Spoil, str]]:
    kinds = [kind for kind in BAD_VALUES if kind != "zero" or name not in ZERO_IS_FINE]
    return {"missing": missing(group, name), "unknown sibling": unknown(group, name)} | {
        kind: bad_value(group, name, kind) for kind in kinds
    }


CASES: dict[str, Case] = {}

for group, name in PARAMETERS:
    for kind, (spoil, message) in every_mistake(group, name).items():
        stage = STAGES[len(CASES) % len(STAGES)]
        CASES[f"{group}.{name}: {kind}"] = Case(stage, "params.yaml", spoil, message)

GOOD = committed("params.yaml")
WHOLE_PARAMS: Mistakes = [
    ("absent", Path.unlink, ": no such file; run from the top of the repository"),
    ("empty", holding(b""), ": must hold the groups prepare, train_linear"),
    ("a list", holding(b"- a\n- b\n"), ": must hold the groups prepare"),
    ("one word", holding(b"fast\n"), ": must hold the groups prepare"),
    ("tabs", holding(b"prepare:\n\tseed: 1\n"), ", line 2: found character '\\t'"),
    (
        "duplicate keys",
        holding(GOOD.replace(b"  seed: 1", b"  seed: 1\n  seed: 2", 1)),
        ', line 7: found duplicate key "seed"',
    ),
    ("truncated", holding(GOOD[:200]), ", line 5: could not find expected"),
    ("half a bracket", holding(b"prepare: {"), ", line 1: "),
    ("not UTF-8", holding(GOOD + "# größer".encode("latin-1")), ": not UTF-8 ("),
    ("random bytes", holding(np.random.default_rng(0).bytes(500)), ": not UTF-8 ("),
    ("a folder", a_folder, ": Is a directory"),
    ("a link to itself", a_link_to_itself, ": Too many levels of symbolic links"),
    (
        "a tag that runs code",
        holding(b"prepare: !!python/object/apply:os.system ['touch owned']"),
        ", line 1: could not determine a constructor for the tag",
    ),
    ("two documents", holding(GOOD + b"---\na: 1\n"), ", line 27: but found another document"),
    ("nested too deep", holding(b"prepare: " + b"[" * 2000), ": not YAML ("),
    ("a key that is no text", holding(GOOD + b"5: 1\n"), ": 5 is not a parameter"),
    ("everything wrong", holding(b"{a: 1}"), ": prepare is missing"),
    (
        "a value of thousands of digits",
        holding(GOOD.replace(b"units: 1000", b"units: 0x" + b"f" * 5000)),
        ": train_hidden.units is a number of thousands of digits; must be",
    ),
]
for number, (what, spoil, message) in enumerate(WHOLE_PARAMS):
    CASES[f"params.yaml: {what}"] = Case(STAGES[number % 4], "params.yaml", spoil, message)

UNREADABLE = ": not a readable .npz file ("


def damages(file: str) -> Mistakes:
    """What can happen to any .npz file."""
    first = "x_train" if file in (SHIPPED, DROPPED_IN) else "images"
    return [
        ("absent", Path.unlink, ": no such file"),
        ("a folder", a_folder, ": no such file"),
        ("empty", holding(b""), UNREADABLE),
        ("truncated", truncated, UNREADABLE),
        ("random bytes", holding(np.random.default_rng(0).bytes(5000)), UNREADABLE),
        ("swapped for a model", another(LINEAR), f": {first} is not a file in the archive"),
        ("a huge array claimed", claiming(10**9, 784), UNREADABLE),
        ("pickled objects", with_arrays(**{first: lambda a: a.astype(object)}), UNREADABLE),
        ("an array missing", with_arrays(**{first: None}), f": {first} is not a file in the"),
    ]


READ_FIRST_BY = {
    SHIPPED: "prepare",
    DROPPED_IN: "prepare",
    TRAIN: "train_linear",
    VALIDATION: "train_hidden",
    TEST: "evaluate",
}
for file, stage in READ_FIRST_BY.items():
    for what, spoil, message in damages(file):
        # Without it, MNIST would be downloaded.
        if (file, what) != (DROPPED_IN, "absent"):
            CASES[f"{file}: {what}"] = Case(stage, file, spoil, message)

PREPARED: Mistakes = [
    ("wrong dtype", with_arrays(images=lambda a: a.astype(float)), ": images is float64"),
    ("wrong byte order", with_arrays(images=lambda a: a.astype(">f4")), ": images is >f4"),
    ("wrong shape", with_arrays(images=lambda a: a.reshape(-1, 28, 28)), ": images is float32"),
    ("no square", with_arrays(images=lambda a: a[:, :50]), ": images have 50 pixels, which is no"),
    ("infinite pixel", with_arrays(images=one(math.inf)), ": images has values outside 0..1"),
    ("pixel too large", with_arrays(images=one(1.01)), ": images has values outside 0..1"),
    ("negative pixel", with_arrays(images=one(-0.01)), ": images has values outside 0..1"),
    ("wrong labels", with_arrays(labels=lambda a: a.astype(int)), ": labels is int64"),
    ("label out of range", with_arrays(labels=one(10)), ": labels has the value 10"),
    ("a label short", with_arrays(labels=lambda a: a[1:]), ": labels is uint8 ("),
    ("NaN pixel", with_arrays(images=one(math.nan)), ": images has values outside 0..1; make it"),
    ("no rows", with_arrays(images=lambda a: a[:0], labels=lambda a: a[:0]), ": holds no image"),
    ("too few pixels", with_arrays(images=lambda a: a[:, :49]), ": its images have 49 pixels"),
]
for file, chosen in {TRAIN: PREPARED[:-1], VALIDATION: PREPARED[-1:], TEST: PREPARED[-3:]}.items():
    for what, spoil, message in chosen:
        CASES[f"{file}: {what}"] = Case(READ_FIRST_BY[file], file, spoil, message)

RAW: Mistakes = [
    ("another data set", another(SHIPPED), ": its content is not mnist's (SHA-256 e737c7"),
    ("wrong dtype", with_arrays(x_test=lambda a: a / np.float32(255)), ": x_test is float32"),
    ("wrong shape", with_arrays(x_test=lambda a: a.reshape(-1, 784)), ": x_test is uint8 (297, 78"),
    ("label out of range", with_arrays(y_test=one(12)), ": y_test has the label 12"),
    ("a label short", with_arrays(y_train=lambda a: a[1:]), ": y_train is uint8 (1499,)"),
    ("no rows", with_arrays(x_test=lambda a: a[:0], y_test=lambda a: a[:0]), ": its content is"),
]
for what, spoil, message in RAW:
    CASES[f"{DROPPED_IN}: {what}"] = Case("prepare", DROPPED_IN, spoil, message)
CASES[f"{SHIPPED}: one pixel altered"] = Case(
    "prepare", SHIPPED, with_arrays(x_train=one(1)), ": its content is not uci_digits's (SHA-256 "
)

UNUSABLE = ": not a usable Keras model ("
KERAS: list[tuple[str, str, Spoil, str]] = [
    ("absent", LINEAR, Path.unlink, ": no such file"),
    ("a folder", HIDDEN, a_folder, ": no such file"),
    ("empty", LINEAR, holding(b""), UNUSABLE),
    ("truncated", HIDDEN, truncated, UNUSABLE),
    ("random bytes", LINEAR, holding(np.random.default_rng(0).bytes(5000)), UNUSABLE),
    ("swapped for data", HIDDEN, another(TRAIN), UNUSABLE),
    ("swapped", LINEAR, another(HIDDEN), ": it holds the model 'hidden', not 'linear'"),
    ("swapped", HIDDEN, another(LINEAR), ": it holds the model 'linear', not 'hidden'"),
    (
        "a damaged entry",
        LINEAR,
        lambda path: holding(path.read_bytes().replace(b'"Dense"', b'"Dance"'))(path),
        UNUSABLE,
    ),
    (
        "an entry missing",
        LINEAR,
        with_entries(lambda entries: entries.pop("model.weights.h5")),
        f"{UNUSABLE}it lacks model.weights.h5)",
    ),
    (
        "a path out of it",
        LINEAR,
        with_entries(lambda entries: entries.update({"../owned": b"x"})),
        f"{UNUSABLE}it holds '../owned', which is no part of a model)",
    ),
    (
        "a zip bomb",
        LINEAR,
        with_entries(lambda entries: entries.update({"model.weights.h5": bytes(300 * 2**20)})),
        f"{UNUSABLE}unpacked it is larger than 256 MB)",
    ),
    (
        "a Lambda",
        LINEAR,
        with_layer(class_name="Lambda"),
        f"{UNUSABLE}it holds code or a custom object: Lambda)",
    ),
    (
        "a custom class",
        HIDDEN,
        with_layer(registered_name="mine>Dense"),
        f"{UNUSABLE}it holds code or a custom object: Dense)",
    ),
    (
        "another module's class",
        HIDDEN,
        with_layer(module="subprocess", class_name="Popen"),
        f"{UNUSABLE}it needs the module 'subprocess', which is not Keras's)",
    ),
    (
        "a weight that is no number",
        LINEAR,
        with_entries(with_a_weight_that_is_no_number),
        ": the model has weights that are no finite numbers",
    ),
]
for what, file, spoil, message in KERAS:
    CASES[f"{file}: {what}"] = Case("evaluate", file, spoil, message)


@pytest.fixture(scope="module")
def finished(
    small_pipeline: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workspace]:
    """A finished run that every case spoils and mends again; in the end it is as it was."""
    copied = small_pipeline.copy(tmp_path_factory.mktemp("finished"))
    yield copied
    assert content(copied) == content(small_pipeline)


def files_of(workspace: Workspace) -> list[Path]:
    folders = ("data", "models", "metrics", ".dvc/cache")
    found = [path for folder in folders for path in (workspace.path / folder).rglob("*")]
    return sorted(path for path in found if path.is_file())


def content(workspace: Workspace) -> dict[Path, bytes]:
    return {path.relative_to(workspace.path): path.read_bytes() for path in files_of(workspace)}


def untouched(workspace: Workspace) -> dict[Path, tuple[int, int, int]]:
    """What tells whether a file has been written or replaced, without reading it."""
    status = {path: path.stat() for path in files_of(workspace)}
    return {path: (s.st_ino, s.st_size, s.st_mtime_ns) for path, s in status.items()}


@pytest.fixture
def spoilt(finished: Workspace, case: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """The case, its file spoilt; mended afterwards."""
    monkeypatch.chdir(finished.path)
    chosen = CASES[case]
    touched = [Path(name) for name in {"params.yaml", chosen.file}]
    saved = {path: path.read_bytes() if path.exists() else None for path in touched}
    if chosen.file == DROPPED_IN:
        finished.set_params(**{"prepare.dataset": "mnist"})
        shutil.copyfile(SHIPPED, DROPPED_IN)
    chosen.spoil(Path(chosen.file))
    yield chosen
    for path, before in saved.items():
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        if before is not None:
            path.write_bytes(before)


@pytest.mark.parametrize("case", CASES)
def test_bad_input(finished: Workspace, case: str, spoilt: Case) -> None:
    before = untouched(finished)
    done = finished.stage(spoilt.stage, status=1)
    assert done.stderr.startswith(f"error: {spoilt.file}{spoilt.message}")
    assert len(done.stderr.splitlines()) <= 1 + params.MOST_PROBLEMS
    assert all(len(line) < 400 for line in done.stderr.splitlines())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert untouched(finished) == before
    assert not list(finished.path.parent.rglob("*owned"))


def test_there_are_cases_for_everything_that_a_stage_reads() -> None:
    pipeline = YAML(typ="safe").load(committed("dvc.yaml").decode())["stages"]
    read = {dep for stage in pipeline.values() for dep in stage["deps"] if "stages" not in dep}
    assert {case.file for case in CASES.values()} == read | {"params.yaml", DROPPED_IN}
    assert len(CASES) >= 80


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv is not installed")
def test_a_file_that_may_not_be_read(small: Workspace) -> None:
    # Root may read everything unless it gives that up.
    bounded = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    command = [*(bounded if os.geteuid() == 0 else []), sys.executable, "-m", "stages.prepare"]
    (small.path / "params.yaml").chmod(0)
    done = small.run(*command, status=1)
    assert done.stderr == "error: params.yaml: Permission denied\n"


def test_plain_repro_never_falls_back(small: Workspace) -> None:
    small.set_params(**{"prepare.dataset": "mnist"})
    done = small.dvc("repro", status=255)
    assert "put the file there" in done.stderr
    assert "dvc exp run -S prepare.dataset=uci_digits" in done.stderr
    assert "Traceback" not in done.stderr
