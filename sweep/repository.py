"""Find the commit that workers clone, check that they can, and fetch the experiments on it."""

from contextlib import suppress
from pathlib import Path

from digits.plumbing.errors import UserError
from revisions.files import git


def pushed(remote: str) -> tuple[str, str, str]:
    """Return the URL of a Git remote, HEAD, and the project's folder in the repository.

    Raises UserError if the workspace has changes, or commits that the remote lacks.
    """
    if git("status", "--porcelain"):
        raise UserError("uncommitted changes (see git status): workers see only what is committed")
    git("fetch", "--quiet", remote)
    commit = git("rev-parse", "HEAD").strip()
    if not git("branch", "--remotes", "--contains", commit, "--list", f"{remote}/*"):
        raise UserError(f"commit {commit[:7]} is not on {remote}: git push {remote}")
    url = git("remote", "get-url", remote).strip()
    # In a worker's clone, a relative path would mean a different folder.
    url = str(Path(url).resolve()) if Path(url).is_dir() else url
    return url, commit, git("rev-parse", "--show-prefix").strip()


def fetch(url: str, commit: str) -> set[str]:
    """Fetch the experiments on `commit`, without data and models; return the names of all here."""
    # DVC keeps experiments there.
    folder = f"refs/exps/{commit[:2]}/{commit[2:]}"
    # Git replaces none that is here. Without a connection for a while, a sweep goes on with those.
    with suppress(UserError):
        git("fetch", "--quiet", url, f"{folder}/*:{folder}/*")
    return set(git("for-each-ref", "--format=%(refname:lstrip=4)", folder).split())
