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
    # In a worker's clone, a relative path would mean a different folder.
    url = str(Path(url).resolve()) if Path(url).is_dir() else url
    return url, commit, run("git", "rev-parse", "--show-prefix")


def fetch(remote: str, commit: str) -> set[str]:
    """Fetch the experiments on `commit` that are new here; return the names of all on the remote.

    They hold only what is in Git: data and models stay in the DVC remote.
    """
    # DVC keeps experiments there.
    folder = f"refs/exps/{commit[:2]}/{commit[2:]}/"
    there = {line.split()[1] for line in run("git", "ls-remote", remote, f"{folder}*").splitlines()}
    here = run("git", "for-each-ref", "--format=%(refname)", folder).splitlines()
    if new := sorted(there.difference(here)):
        run("git", "fetch", "--quiet", remote, *(f"{name}:{name}" for name in new))
    return {name.removeprefix(folder) for name in there}


def run(*command: str) -> str:
    """Return the output of a command. Raises UserError with its messages if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{' '.join(command[:2])}: {redact(done.stderr.strip())}")
    return done.stdout.strip()
