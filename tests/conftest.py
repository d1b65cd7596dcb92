"""What the tests share: working copies of the repository to run the real pipeline in."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import yaml
from playwright.sync_api import Browser, expect, sync_playwright
from ruamel.yaml import YAML

from digits import datasets, files, paths, runtime
from tests import preloaded

# How long an example takes says nothing about the code on a busy machine.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

# Where the tests run in the background, these are ignored, and would be by all that they start.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

ROOT = Path(__file__).parents[1]
# Makes a process count the lines that it runs, if this one does; that takes a quarter of its time.
COUNT_LINES = {
    name: value for name, value in os.environ.items() if name == "COVERAGE_PROCESS_CONFIG"
}
# Settings of whoever runs the tests, `make test` among them.
SET_BY_OTHERS = (
    "AWS_",
    "COVERAGE_",
    "DVC_",
    "GIT_",
    "KERAS_",
    "MAKE",
    "MFLAGS",
    "TF_",
    "XDG_",
    "XLA_",
)
RUN_CHANGES = ("params.yaml", "dvc.lock")
# 1,500 training and 300 test images: enough to learn something in a second.
SMALL_TRAIN, SMALL_TEST = 1500, 300
STAGES = ["prepare", "train_linear", "train_hidden", "evaluate"]
SMALL = {
    "prepare.dataset": "small",
    "prepare.validation_size": 300,
    "train_linear.epochs": 2,
    "train_hidden.epochs": 2,
    "train_hidden.units": 32,
}
WIDE = 48
ONE_HOUR_MS = 3_600_000


class Workspace:
    """A copy of the repository, committed to a Git repository of its own, with its own home."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.home = path.parent / "home"

    @property
    def environment(self) -> dict[str, str]:
        """An empty home, only this machine in reach, this interpreter and its programs first."""
        self.home.mkdir(exist_ok=True)
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(SET_BY_OTHERS)
        }
        nowhere = "http://127.0.0.1:9"
        return kept | {
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_SITE_CACHE_DIR": str(self.home / "dvc"),
            "http_proxy": nowhere,
            "https_proxy": nowhere,
            # What a test serves itself is within reach.
            "no_proxy": "127.0.0.1,localhost",
            "GIT_AUTHOR_NAME": "Tester",
            "GIT_AUTHOR_EMAIL": "tester@localhost",
            "GIT_COMMITTER_NAME": "Tester",
            "GIT_COMMITTER_EMAIL": "tester@localhost",
        }

    def run(
        self, *command: str | Path, status: int | None = 0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command here; fail unless it exits with `status` (None: any)."""
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.path,
            env=self.environment | (env or {}),
            text=True,
            capture_output=True,
            check=False,
        )
        assert status in (None, done.returncode), f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def run_module(
        self, name: str, *arguments: str, status: int | None = 0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The same for `python -m NAME`, which is DVC or imports it."""
        done = preloaded.run(name, arguments, self.path, self.environment | (env or {}))
        assert status in (None, done.returncode), f"{done.args}\n{done.stdout}\n{done.stderr}"
        return done

    def stage(self, name: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a stage; its lines are counted, unlike those of the stages that `dvc` runs."""
        return self.run(sys.executable, "-m", f"stages.{name}", env=COUNT_LINES, **options)

    def run_stages(
        self, *names: str, before: Sequence[str] = (), env: dict[str, str] | None = None
    ) -> None:
        """Run stages in one process, so that TensorFlow is imported once."""
        code = f"from stages import {', '.join(names)}\nfrom digits import files\n"
        code += "".join(f"files.write_all({name}.main())\n" for name in names)
        self.run(*before, sys.executable, "-c", code, env=env)

    def dvc(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run_module("dvc", *arguments, **options)

    def repro(self, *arguments: str) -> list[str]:
        """`dvc repro`; the stages that it ran."""
        return stages_run(self.dvc("repro", *arguments).stdout)

    def make(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """`make`, with the packages of the environment that runs the tests."""
        done = ("--old-file=setup", "--old-file=setup-dev", "--no-print-directory")
        return self.run("make", *done, *arguments, **options)

    @contextmanager
    def start(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """A command in a process group of its own, as a shell starts it; all killed at the end."""
        process = subprocess.Popen(
            command,
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def set_params(self, **changes: Any) -> None:
        """Change values in params.yaml, as in set_params(**{"prepare.seed": 2})."""
        path = self.path / "params.yaml"
        # Unlike PyYAML, it keeps the comments.
        editor = YAML()
        values = editor.load(path)
        for key, value in changes.items():
            group, name = key.split(".")
            values[group][name] = value
        editor.dump(values, path)

    def commit(self, message: str = "change") -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", message)

    def clone(self, path: Path) -> "Workspace":
        """What Git has of it, in a new folder: no cache, no data, no models."""
        self.run("git", "clone", "--quiet", self.path, path)
        return Workspace(path)

    def lock(self) -> dict[str, Any]:
        """dvc.lock's stages."""
        stages: dict[str, Any] = yaml.safe_load((self.path / "dvc.lock").read_text())["stages"]
        return stages

    def outputs(self) -> dict[str, bytes]:
        """Every file that the stages write, by its path."""
        paths = [out["path"] for stage in self.lock().values() for out in stage["outs"]]
        return {path: (self.path / path).read_bytes() for path in paths}

    def written(self) -> dict[str, tuple[int, int]]:
        """What tells whether one of the stages' files has been written, even with the same bytes.

        A temporary file that was left there counts.
        """
        status = {
            path: path.stat()
            for folder in ("data", "models", "metrics")
            for path in (self.path / folder).rglob("*")
            if path.is_file()
        }
        return {str(path): (s.st_ino, s.st_mtime_ns) for path, s in status.items()}

    def copy(self, folder: Path) -> "Workspace":
        """The same workspace, cache included, in a new folder."""
        target = folder / "digits"
        shutil.copytree(self.path, target, symlinks=True)
        return Workspace(target)


def stages_run(output: str) -> list[str]:
    """The stages that DVC ran, from what it printed."""
    lines = output.splitlines()
    return [line.split("'")[1] for line in lines if line.startswith("Running stage")]


@pytest.fixture(scope="session")
def tensorflow_started() -> None:
    """TensorFlow imported with the portable settings. Imports that need it come after this."""
    runtime.start(portable=True)


def committed(name: str) -> bytes:
    """A file as Git has it, whatever a run in this checkout has made of it since."""
    return subprocess.run(
        ["git", "show", f"HEAD:{name}"], cwd=ROOT, capture_output=True, check=True
    ).stdout


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Workspace]:
    """Makes a fresh workspace: the files of this checkout that Git does not ignore, committed.

    What a run changes (parameters, lock, metrics) is taken as it was committed last.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    files = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]

    def make() -> Workspace:
        workspace = Workspace(tmp_path_factory.mktemp("clone") / "digits")
        for name in files:
            target = workspace.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if name in RUN_CHANGES or name.startswith("metrics/"):
                target.write_bytes(committed(name))
            else:
                shutil.copy2(ROOT / name, target)
        workspace.run("git", "init", "--quiet", "--initial-branch=main")
        workspace.commit("The repository as it is")
        return workspace

    return make


def cut_from_mnist(start: int = 0) -> bytes:
    """A data set of 1,500 training and 300 test images of MNIST, from number `start` on."""
    mnist = np.load(ROOT / paths.raw("mnist"))
    counts = (SMALL_TRAIN, SMALL_TRAIN, SMALL_TEST, SMALL_TEST)
    names = zip(datasets.Digits._fields, counts, strict=True)
    return files.array_bytes({name: mnist[name][start : start + n] for name, n in names})


MakeOnce = Callable[[str, Callable[[], Workspace]], Workspace]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Makes a named workspace once; each process that runs tests gets a copy of it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def make_once(name: str, make: Callable[[], Workspace]) -> Workspace:
        made = folder / name
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                make().path.parent.rename(made)
        copy = tmp_path_factory.mktemp(name) / "copy"
        shutil.copytree(made, copy, symlinks=True)
        return Workspace(copy / "digits")

    return make_once


@pytest.fixture(scope="session")
def small_pipeline(checkout: Callable[[], Workspace], once: MakeOnce) -> Workspace:
    """A finished, committed run on the data set `small`, which DVC tracks.

    The branch `wide`, also stored as an experiment, has WIDE hidden units. Shared: change only a
    copy of it.
    """
    return once("small", lambda: run_small_pipeline(checkout()))


def run_small_pipeline(workspace: Workspace) -> Workspace:
    """Train on a data set as docs/data.md shows it; on the branch `wide`, train another model."""
    raw = str(paths.raw("small"))
    (workspace.path / raw).write_bytes(cut_from_mnist())
    workspace.dvc("add", "--quiet", raw)
    settings = [f"--set-param={name}={value}" for name, value in SMALL.items()]
    done = workspace.dvc("exp", "run", *settings, env=COUNT_LINES)
    assert stages_run(done.stdout) == STAGES
    workspace.commit("Train on the small data set")
    # What it printed, for the tests: outside the repository.
    (workspace.path.parent / "stdout").write_text(done.stdout)
    (workspace.path.parent / "stderr").write_text(done.stderr)

    base = workspace.run("git", "rev-parse", "HEAD").stdout.strip()
    workspace.run("git", "switch", "--quiet", "--create", "wide")
    workspace.set_params(**{"train_hidden.units": WIDE})
    workspace.run_stages("train_hidden", "evaluate")
    workspace.dvc("commit", "--force", "--quiet")
    workspace.commit("Train a wider hidden layer")
    # As DVC stores the experiment `wide` of that commit.
    workspace.run("git", "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/wide", "wide")
    workspace.run("git", "switch", "--quiet", "main")
    workspace.dvc("checkout", "--quiet")
    return workspace


@pytest.fixture
def small(small_pipeline: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished run on the small data set, to change at will."""
    return small_pipeline.copy(tmp_path)


@pytest.fixture
def shared(small: Workspace) -> Workspace:
    """The same, with the bare Git repository ../hub as its remote `origin`.

    Clones beside it have the same home, and so the same DVC remote.
    """
    small.run("git", "clone", "--quiet", "--bare", ".", "../hub")
    small.run("git", "remote", "add", "origin", "../hub")
    return small


@pytest.fixture(scope="session")
def mnist_pipeline(checkout: Callable[[], Workspace], once: MakeOnce) -> Workspace:
    """A finished run on MNIST with the default parameters. Shared: change only a copy of it.

    It takes from this checkout's cache what `make` has run there.
    """

    def run() -> Workspace:
        workspace = checkout()
        cache = ROOT / ".dvc/cache"
        if cache.is_dir():
            shutil.copytree(cache, workspace.path / ".dvc/cache")
        workspace.repro()
        return workspace

    return once("mnist", run)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, with only this machine in reach; skips where it is not installed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    # A busy machine may be slow; that is no failure. (0 would be taken for the default.)
    expect.set_options(timeout=ONE_HOUR_MS)
    nowhere = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", nowhere],
        )
        yield chromium
        chromium.close()
