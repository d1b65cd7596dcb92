"""`make push`: push every file of every run, so that nobody has to run it again.

`dvc push --run-cache` pushes the records of all runs, but not all of their files.
"""

from dvc.repo import Repo

from digits.plumbing.errors import UserError
from digits.plumbing.stage import run_main
from digits.plumbing.terminal import redact


def main() -> None:
    try:
        with Repo() as repo:
            runs = repo.stage_cache.push(remote=None)
            used = repo.used_objs(used_run_cache=runs)
            pushed, failed = repo.cloud.push(used[None])
    except Exception as error:
        # Each kind of remote raises different errors. Only the cause explains an invalid dvc.yaml.
        raise UserError(redact(" ".join(str(error.__cause__ or error).split()))) from None
    if failed:
        raise UserError(f"{len(failed)} files were not pushed; to continue: make push")
    print(f"{len(pushed)} files pushed, and the records of {len(runs)} runs")


if __name__ == "__main__":
    run_main(main)
