"""How long a user waits: for the command line to answer, and for the first compiled step of a program run before."""

import resource
import subprocess
import sys
from functools import partial

from validation.benchmarks.contest import OURS, Bar, Contest, Row

HELP = "from particleflow.cli import main; main(['--help'])"
STEP = """
import particleflow as pf
energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), ([[-1.0, 1.0, 2.0], [1.0, 0.0, 1.0]], [1.0, 1.0]), strength=0.1)
pf.solve(energy, pf.sphere(10, 3, rng=0), 0.1, method="euler", step=0.1, frames=1)
"""


def of_children():
    """Return the processor time of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def program(text, quick):
    """Return the contest of a program from the start of its process to the end, beside a Python that does nothing."""
    variants = {OURS: text, "python alone": "", "numba and numpy": "import numba, numpy"}
    runs = {
        name: partial(subprocess.run, [sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
        for name, code in variants.items()
    }
    return Contest(runs, clock=of_children)


def row(name, title, text, must, aim):
    """Return the row of a program."""
    return Row(
        f"start-{name}",
        f"{title}, processor time from the start of the process",
        partial(program, text),
        (Bar("", must, aim, "s"),),
    )


ROWS = (
    row("help", "particleflow --help", HELP, 0.3, 0.3),
    row("step", "the first compiled step of a second run", STEP, 1.5, 1.2),
)
