"""Find the repository and the commit that workers clone, and check that they can."""

import subprocess
from pathlib import Path

from digits.plumbing.errors import UserError
from digits.plumbing.terminal import redact


def pushed(remote: str) -> tuple[str, str, str]:
    """Return the URL of a Git remote, HEAD, and the project's folder in the repository.

    Raises UserError if the workspace has changes, or commits that the remote lacks.
    """
    if run("git", "status", "--porcelain"):
        raise UserError("uncommitted changes (see git status): workers see only what is committed")
    run("git", "fetch", "--quiet", remote)
    commit = run("git", "rev-parse", "HEAD")
    if not run("git", "branch", "--remotes", "--contains", commit, "--list", f"{remote}/*"):
        raise UserError(f"commit {commit[:7]} is not on {remote}: git push {remote}")
    url = run("git", "remote", "get-url", remote)
    # In a worker's clone, a relative path would mean another folder.
    url = str(Path(url).resolve()) if Path(url).is_dir() else url
    return url, commit, run("git", "rev-parse", "--show-prefix")


def finished(remote: str, commit: str) -> set[str]:
    """Return the names of the experiments on `commit` that are on the Git remote."""
    # DVC keeps experiments there.
    references = run("git", "ls-remote", remote, f"refs/exps/{commit[:2]}/{commit[2:]}/*")
    return {line.rpartition("/")[2] for line in references.splitlines()}


def run(*command: str) -> str:
    """Return the output of a command. Raises UserError with its messages if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{' '.join(command[:2])}: {redact(done.stderr.strip())}")
    return done.stdout.strip()
