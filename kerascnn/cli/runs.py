"""`kerascnn runs`: what was run."""

import gc
from pathlib import Path

from kerascnn.cli.options import Json, RunsDir
from kerascnn.cli.output import out, print_json, remark


def runs(runs_dir: RunsDir = Path("runs"), json: Json = False) -> None:
    """List the runs, the oldest first."""
    from kerascnn.run.find import list_runs
    from kerascnn.show.run_tables import table_runs

    gc.disable()  # of what is read nothing is dropped, and looking for it takes a sixth of the time
    try:
        rows = [run.describe() for run in list_runs(runs_dir)]
    finally:
        gc.enable()
    if json:
        print_json(rows)
    elif rows:
        out.print(table_runs(rows))
    else:
        remark(f"There is no run in '{runs_dir}'; `kerascnn run adam-lr0.001` makes one.")
