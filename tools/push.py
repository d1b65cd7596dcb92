"""`make push`: push every file of every run, so that nobody has to run it again.

`dvc push --run-cache` pushes the records of all runs, but not all of their files.
"""

from dvc.repo import Repo

from digits.errors import UserError
from digits.stage import run_main
from digits.text import redact


def main() -> None:
    try:
        with Repo() as repo:
            runs = repo.stage_cache.push(remote=None)
            used = repo.used_objs(used_run_cache=runs)
            pushed, failed = repo.cloud.push(used[None])
    except Exception as error:
        # Each kind of remote raises others. For an invalid dvc.yaml, only the cause has the reason.
        raise UserError(redact(" ".join(str(error.__cause__ or error).split()))) from None
    if failed:
        raise UserError(f"{len(failed)} files were not pushed; to continue: make push")
    print(f"{len(pushed)} files pushed, and the records of {len(runs)} runs")


if __name__ == "__main__":
    run_main(main)
