"""What `python -m sweep` refuses before it starts a cluster."""

import subprocess
import sys
from pathlib import Path

import pytest

from digits.errors import UserError
from digits.run import run_main
from sweep import repository
from sweep.__main__ import main, parse
from tests.conftest import ROOT

SETTING = ("-S", "train_hidden.units=8")


def test_a_refusal_is_one_line_and_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["sweep", "-S", "train_hidden.units=8,0"])
    with pytest.raises(SystemExit) as end:
        run_main(main)
    assert end.value.code == (
        "error: -S: train_hidden.units is 0; must be a whole number from 1 to 10000"
    )


@pytest.mark.parametrize("workers", ["0", "-1"])
def test_there_is_at_least_one_worker(workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["sweep", *SETTING, f"--workers={workers}"])
    with pytest.raises(UserError, match=f"--workers is {workers}; must be 1 or more"):
        parse()


@pytest.mark.parametrize(
    "address",
    ["head", "head:8786", "tls://head", "tls://head:port", "tls://:8786", "http://head:80"],
)
def test_an_address_has_a_scheme_a_host_and_a_port(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["sweep", *SETTING, "--scheduler", address])
    with pytest.raises(UserError, match=f"--scheduler is {address}; must be like tls://head:8786"):
        parse()


def git(*arguments: str | Path) -> None:
    author = ("-c", "user.name=Tester", "-c", "user.email=tester@localhost")
    subprocess.run(["git", *author, *map(str, arguments)], check=True)


@pytest.fixture
def pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a repository with a commit that its remote `origin` has."""
    git("init", "--quiet", "--bare", tmp_path / "origin.git")
    git("init", "--quiet", "--initial-branch=main", tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    git("commit", "--quiet", "--allow-empty", "--message", "First")
    git("remote", "add", "origin", "../origin.git")
    git("push", "--quiet", "origin", "main")
    return tmp_path


def test_workers_get_the_commit_and_a_url_that_is_valid_in_any_folder(pushed: Path) -> None:
    url, commit = repository.pushed("origin")
    assert url == str(pushed / "origin.git")
    assert len(commit) == 40


def test_a_commit_that_workers_could_not_get_is_refused(pushed: Path) -> None:
    git("commit", "--quiet", "--allow-empty", "--message", "Second")
    with pytest.raises(UserError, match=r"^commit \w{7} is not on origin: git push origin$"):
        repository.pushed("origin")


def test_uncommitted_changes_are_refused(pushed: Path) -> None:
    Path("params.yaml").touch()
    with pytest.raises(UserError, match="uncommitted changes"):
        repository.pushed("origin")


def test_an_error_of_git_is_passed_on_whole(pushed: Path) -> None:
    with pytest.raises(UserError) as refusal:
        repository.pushed("nowhere")
    first, *rest = str(refusal.value).splitlines()
    assert first.startswith("git fetch: fatal: 'nowhere' does not appear to be a git repository")
    assert "Please make sure you have the correct access rights" in "".join(rest)
