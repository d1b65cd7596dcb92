"""The stages of the pipeline, each run as `python -m stages.NAME`."""

import sys

# Python says so while it looks for the module that it shall run: that is a stage, so its imports,
# too, end at Ctrl-C without a traceback.
if sys.argv[0] == "-m":
    from stages.lib.errors import end_quietly_when_told_to, end_with_dvc

    end_quietly_when_told_to()
    end_with_dvc()
