"""Working copies of the repository, in which the tests run the real pipeline."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from playwright.sync_api import Browser, Page, expect, sync_playwright
from ruamel.yaml import YAML

from digits.portable import runtime

# TensorFlow is imported after its settings are made.
runtime.start(portable=True)
# Tests that run in the background would ignore Ctrl-C, and so would all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
MODELS: list[str] = PARAMS["evaluate"]["models"]
# A single model has no comparison to draw.
CHARTS = (ROOT / "dvc.yaml").read_text().count("title: ") - (len(MODELS) == 1)
STAGES = ["prepare", *(f"train_{name}" for name in MODELS), "evaluate"]
SMALL_SIZES = {"x_train": 1500, "y_train": 1500, "x_test": 300, "y_test": 300}
SMALL = {
    "prepare.dataset": "small",
    "prepare.seed": 1,
    "prepare.validation_size": 300,
    "train_hidden.units": 32,
} | {
    f"train_{name}.{key}": value
    for name in MODELS
    for key, value in (("epochs", 2), ("seed", 1))
    if key in PARAMS[f"train_{name}"]
}
WIDE = 48
NOWHERE = "http://127.0.0.1:9"
# Makes a process count the lines that it runs, if this one does; that takes a quarter of its time.
COUNT_LINES = {name: os.environ[name] for name in {"COVERAGE_PROCESS_CONFIG"} & os.environ.keys()}
Done = subprocess.CompletedProcess[str]


class Workspace:
    """A copy of the repository, in a Git repository and with a home folder of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.home = path.parent / "home"

    @property
    def environment(self) -> dict[str, str]:
        """The programs of this user and nothing else; no network but this machine."""
        self.home.mkdir(exist_ok=True)
        return {
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_SITE_CACHE_DIR": str(self.home / "dvc"),
            "http_proxy": NOWHERE,
            "https_proxy": NOWHERE,
            "no_proxy": "127.0.0.1,localhost",
            "GIT_AUTHOR_NAME": "Tester",
            "GIT_AUTHOR_EMAIL": "tester@localhost",
            "GIT_COMMITTER_NAME": "Tester",
            "GIT_COMMITTER_EMAIL": "tester@localhost",
        }

    def run(
        self, *command: str | Path, status: int | None = 0, env: dict[str, str] | None = None
    ) -> Done:
        """Run a command here; fail unless it exits with `status` (None: any)."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment | (env or {}),
            text=True,
            capture_output=True,
            check=False,
        )
        assert status in (None, done.returncode), f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def run_module(self, name: str, *arguments: str | Path, **options: Any) -> Done:
        return self.run(sys.executable, "-m", name, *arguments, **options)

    def dvc(self, *arguments: str | Path, **options: Any) -> Done:
        return self.run_module("dvc", *arguments, **options)

    def stage(self, name: str, **options: Any) -> Done:
        """Run a stage; its lines are counted, unlike those of the stages that DVC runs."""
        return self.run_module(f"stages.{name}", env=COUNT_LINES, **options)

    def run_stages(self, *before: str, env: dict[str, str]) -> None:
        """Run all stages in one process, so that TensorFlow is imported once."""
        code = f"from stages import {', '.join(STAGES)}\nfrom digits.plumbing import files\n"
        code += "".join(f"files.write_all({name}.main())\n" for name in STAGES)
        self.run(*before, sys.executable, "-c", code, env=env)

    def repro(self, *arguments: str) -> list[str]:
        """`dvc repro`; the stages that it ran."""
        lines = self.dvc("repro", *arguments).stdout.splitlines()
        return [line.split("'")[1] for line in lines if line.startswith("Running stage")]

    def make(self, *arguments: str, **options: Any) -> Done:
        """`make`, with the packages of the environment that runs the tests."""
        done = ("--old-file=setup", "--old-file=setup-dev", "--no-print-directory")
        return self.run("make", *done, *arguments, **options)

    @contextmanager
    def start(self, *command: str, **env: str) -> Iterator[subprocess.Popen[str]]:
        """A running command, in a process group as in a shell; all of it is killed at the end."""
        with subprocess.Popen(
            command,
            cwd=self.path,
            env=self.environment | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the first such text in a file; fail if there is none."""
        path = self.path / name
        before, found, after = path.read_text("utf-8").partition(old)
        assert found, f"{name} lacks {old}"
        path.write_text(f"{before}{new}{after}", "utf-8")

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

    def use_small_data(self, **params: Any) -> None:
        """Choose a part of MNIST, enough to learn something in a second."""
        with np.load(self.path / "data/raw/mnist.npz") as mnist:
            arrays = {name: mnist[name][:n] for name, n in SMALL_SIZES.items()}
        np.savez_compressed(self.path / "data/raw/small.npz", **arrays)
        self.set_params(**SMALL | params)

    def commit(self, message: str = "change") -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", message)

    def clone(self, path: Path) -> "Workspace":
        """A clone in a new folder, made as on Windows: no cache, no data, no models."""
        self.run("git", "clone", "--quiet", "--config", "core.autocrlf=true", self.path, path)
        return Workspace(path)

    def copy(self, folder: Path) -> "Workspace":
        """The same workspace, cache included, in a new folder."""
        shutil.copytree(self.path, folder / "digits", symlinks=True)
        return Workspace(folder / "digits")

    def lock(self) -> dict[str, Any]:
        """dvc.lock's stages."""
        stages: dict[str, Any] = yaml.safe_load((self.path / "dvc.lock").read_text())["stages"]
        return stages

    def outputs(self) -> dict[str, bytes]:
        """Every file that the stages write, by its path."""
        outs = [self.path / out["path"] for stage in self.lock().values() for out in stage["outs"]]
        files = [file for out in outs for file in (out.iterdir() if out.is_dir() else [out])]
        return {str(file.relative_to(self.path)): file.read_bytes() for file in files}

    def written(self) -> dict[Path, int]:
        """When each file of the stages, a temporary one included, was written."""
        folders = (self.path / name for name in ("data", "models", "metrics"))
        return {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*")}


def committed(name: str) -> bytes:
    """A file as Git has it, which a run in this checkout may have changed since."""
    return subprocess.check_output(["git", "show", f"HEAD:{name}"], cwd=ROOT)


Checkout = Callable[[], Workspace]


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Makes a fresh workspace: the files of this checkout that Git does not ignore, committed.

    Parameters, lock and metrics, which a run changes, are taken as committed.
    """
    # The data that DVC tracks stay here.
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", ":!*.dvc"]
    listed = subprocess.check_output(command, cwd=ROOT, text=True).splitlines()

    def make() -> Workspace:
        workspace = Workspace(tmp_path_factory.mktemp("clone") / "digits")
        for name in listed:
            target = workspace.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if name.startswith(("params.yaml", "dvc.lock", "metrics/")):
                target.write_bytes(committed(name))
            # Deleted files are still listed.
            elif (ROOT / name).is_file():
                shutil.copy2(ROOT / name, target)
        workspace.run("git", "init", "--quiet", "--initial-branch=main")
        # The remote of this checkout may be that of a team.
        own = ("--force", "--default", "storage", "~/dvc-storage/digits")
        workspace.dvc("remote", "add", "--quiet", *own)
        workspace.dvc("remote", "modify", "storage", "verify", "true")
        workspace.commit("The repository as it is")
        return workspace

    return make


MakeOnce = Callable[[str, Checkout], Workspace]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Makes a named workspace once; each process that runs tests gets a copy of it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent

    def make_once(name: str, make: Checkout) -> Workspace:
        made = folder / name
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                make().path.parent.rename(made)
        return Workspace(made / "digits").copy(tmp_path_factory.mktemp(name))

    return make_once


@pytest.fixture(scope="session")
def small_pipeline(checkout: Checkout, once: MakeOnce) -> Workspace:
    """A finished, committed run on the data set `small`, which DVC tracks.

    The branch and experiment `wide` has WIDE hidden units. Shared: change only a copy of it.
    """

    def make() -> Workspace:
        workspace = checkout()
        workspace.use_small_data()
        workspace.dvc("add", "--quiet", "data/raw/small.npz")
        done = workspace.dvc("repro", env=COUNT_LINES)
        # Its output, for the tests; Git ignores this folder.
        (workspace.path / ".dvc/tmp/stdout").write_text(done.stdout)
        (workspace.path / ".dvc/tmp/stderr").write_text(done.stderr)
        workspace.commit("Train on the small data set")

        workspace.dvc("exp", "run", "--name", "wide", "-S", f"train_hidden.units={WIDE}")
        workspace.dvc("exp", "branch", "wide", "wide")
        workspace.run("git", "restore", ".")
        workspace.dvc("checkout", "--quiet")
        return workspace

    return once("small", make)


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
def mnist_pipeline(checkout: Checkout, once: MakeOnce) -> Workspace:
    """A finished run on MNIST with the default parameters. Shared: change only a copy of it."""

    def make() -> Workspace:
        workspace = checkout()
        workspace.repro()
        return workspace

    return once("mnist", make)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, with only this machine in reach; skips where it is not installed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    # A busy machine may be slow; that is no failure. (0 would be taken for the default.)
    expect.set_options(timeout=3_600_000)
    nowhere = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", nowhere],
        )
        yield chromium
        chromium.close()


Browse = Callable[..., Page]


@pytest.fixture
def browse(browser: Browser) -> Browse:
    """Opens a page, waits for its charts, and fails if scripts report or request anything."""

    def open_page(path: Path, charts: int, width: int = 1280, fragment: str = "") -> Page:
        page = browser.new_page(viewport={"width": width, "height": 900})
        # A busy machine may be slow; that is no failure.
        page.set_default_timeout(0)
        reported: list[str] = []
        page.on("console", lambda message: reported.append(message.text))
        page.on("pageerror", lambda error: reported.append(str(error)))
        page.on("request", lambda request: reported.append(request.url))
        page.goto(path.as_uri() + fragment)
        page.wait_for_function(f"document.querySelectorAll('svg.marks').length >= {charts}")
        assert page.locator("svg.marks").count() == charts
        assert [text for text in reported if not text.startswith(("file:", "data:"))] == []
        return page

    return open_page
