"""What workers need to know of the repository, and the checks that they can get it."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from dvc.config import Config

from stages.lib.errors import UserError


class Source(NamedTuple):
    """A pushed commit, and the DVC remote that has its data."""

    git_url: str
    commit: str
    dvc_remote: str
    dvc_url: str


def pushed(git_remote: str) -> Source:
    """HEAD, as workers will see it.

    Raises UserError if there are uncommitted changes, if the commit is not on `git_remote`, or if
    there is no default DVC remote.
    """
    changes = git("status", "--porcelain").splitlines()
    if changes:
        files = ", ".join(change.split()[-1] for change in changes[:3])
        raise UserError(f"uncommitted changes in {files}: workers see only what is committed")
    if git_remote not in git("remote").split():
        raise UserError(f"no Git remote {git_remote}: workers clone from it; see git remote add")
    git("fetch", "--quiet", git_remote)
    commit = git("rev-parse", "HEAD")
    if not git("branch", "--remotes", "--contains", commit, "--list", f"{git_remote}/*"):
        raise UserError(f"commit {commit[:7]} is not on {git_remote}: git push {git_remote}")
    config = Config.from_cwd()
    remote = config["core"].get("remote")
    if not remote:
        raise UserError("no default DVC remote: results travel through it; see dvc remote default")
    url = git("remote", "get-url", git_remote)
    folder = Path(url)
    return Source(
        str(folder.resolve()) if folder.is_dir() else url,
        commit,
        remote,
        config["remote"][remote]["url"],
    )


def finished(git_remote: str, commit: str) -> set[str]:
    """The names of the experiments on `commit` that have been pushed."""
    return _names(git("ls-remote", git_remote, f"{_namespace(commit)}/*"))


def collected(commit: str) -> set[str]:
    """The names of the experiments on `commit` that this repository has."""
    return _names(git("for-each-ref", "--format=%(refname)", _namespace(commit)))


def git(*arguments: str) -> str:
    """What a Git command prints. Raises UserError with its last line where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"git {arguments[0]}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


def _namespace(commit: str) -> str:
    """Where DVC keeps a commit's experiments in Git."""
    return f"refs/exps/{commit[:2]}/{commit[2:]}"


def _names(references: str) -> set[str]:
    return {reference.rpartition("/")[2] for reference in references.splitlines()}
