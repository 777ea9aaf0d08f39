"""What a trajectory survives: SIGKILL at random moments, and what writing it costs.

    python -m validation.durability [--kills 100] [--resumes 20]

Three tables: of processes that write a frame every few milliseconds and are killed, how many files open and hold every
frame bit for bit; of runs that are killed and resumed again and again, how many end with the bits of a run that was
never stopped; and which share of a large flow is spent in writing its frames.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np

import particleflow as pf

METHODS = {
    "euler": {"t_end": 1000.0, "step": 0.1, "frames": 10_000},
    "dopri5": {"t_end": 1000.0, "rtol": 1e-7, "frames": 60},
    "langevin": {"t_end": 1500.0, "step": 0.05, "temperature": 1e-4, "frames": 60},
    "adam": {"learning_rate": 1e-3, "steps": 20_000, "batch_size": 20, "frames": 60},
}
_START = 1.0  # s, about what a process takes until its flow goes on
_CHILD = "import sys; from validation.durability import run; run(sys.argv[1], sys.argv[2])"


def run(method, path):
    """Run the flow of a method, or go on with it."""
    rng = np.random.default_rng(5)
    X = np.column_stack([rng.normal(size=40), np.ones(40)])
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, rng.normal(size=40)), strength=1e-2)
    pf.solve(energy, pf.sphere(300, 2, rng=1), method=method, **METHODS[method], file=path, resume=True, seed=3)


def killed(method, path, delay):
    """Run a method in a process of its own; kill it so many seconds after its file is there. Return whether it died."""
    process = subprocess.Popen([sys.executable, "-c", _CHILD, method, str(path)])
    while not path.exists() and process.poll() is None:
        time.sleep(0.005)
    with suppress(subprocess.TimeoutExpired):
        process.wait(delay)
    process.kill()
    return process.wait() == -signal.SIGKILL


def same_frames(path, reference):
    """Return whether a file opens, and each of its frames has the bits of the reference; and how many there are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with pf.open(path) as one, pf.open(reference) as two:
                same = all(
                    np.array_equal(one.particles(k).particles, two.particles(k).particles) for k in range(len(one))
                )
                return same, len(one)
        except pf.TrajectoryError as error:
            return "no frame" in str(error), 0


def same_files(path, reference):
    """Return whether two files hold the same frames, observables and checkpoints, bit for bit."""
    with pf.open(path) as one, pf.open(reference) as two:
        pairs = [(one.time, two.time), *((one.observables[name], two.observables[name]) for name in two.observables)]
        pairs += [(one.checkpoint[name], two.checkpoint[name]) for name in two.checkpoint]
    return all(np.array_equal(a, b) for a, b in pairs) and same_frames(path, reference)[0]


def kill_table(folder, kills, chance):
    """Print how many of the killed writers left a whole file."""
    run("euler", folder / "euler.h5")
    good, frames = 0, []
    for k in range(kills):
        path = folder / f"kill-{k}.h5"
        killed("euler", path, chance.uniform(0.0, 1.5))
        same, count = same_frames(path, folder / "euler.h5")
        good, frames = good + same, [*frames, count]
        path.unlink()
    print(f"killed while writing: {good} of {kills} files whole, with {min(frames)} to {max(frames)} frames")


def resume_table(folder, resumes, chance):
    """Print how many of the runs that were killed and resumed have the bits of one that never stopped."""
    for method in ("dopri5", "langevin", "adam"):
        begin = time.perf_counter()
        run(method, folder / f"{method}.h5")
        seconds, good, deaths = time.perf_counter() - begin, 0, 0
        for k in range(resumes):
            path = folder / f"{method}-{k}.h5"
            while killed(method, path, _START * path.exists() + chance.uniform(0.0, seconds)):
                deaths += 1
            good += same_files(path, folder / f"{method}.h5")
            path.unlink()
        print(f"{method}: {good} of {resumes} resumed runs identical, {deaths} times killed")


def cost_table(folder, m=10_000, d=100, n=1000, frames=100):
    """Print the share of a large flow that is spent in writing."""
    rng = np.random.default_rng(0)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("erf"), (rng.normal(size=(n, d)), rng.normal(size=n)))
    options = {"method": "euler", "step": 0.1, "frames": [0.1 * k for k in range(1, frames + 1)]}
    pf.solve(energy, pf.sphere(10, d, rng=1), 0.1 * frames, **options)  # compiled
    spent, original = [], pf.TrajectoryWriter.record

    def record(self, state, observables):
        begin = time.perf_counter()
        original(self, state, observables)
        spent.append(time.perf_counter() - begin)

    pf.TrajectoryWriter.record = record
    try:
        result = pf.solve(energy, pf.sphere(m, d, rng=1), 0.1 * frames, **options, file=folder / "large.h5")
    finally:
        pf.TrajectoryWriter.record = original
    share = sum(spent) / result.seconds
    print(
        f"m = {m}, d = {d}, n = {n}: {len(spent)} frames in {result.seconds:.1f} s, "
        f"{1e3 * np.median(spent):.1f} ms a frame, {100 * share:.1f} % of the time"
    )


def main():
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--resumes", type=int, default=20)
    options, chance = parser.parse_args(), random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        cost_table(Path(folder))
        if options.kills:
            kill_table(Path(folder), options.kills, chance)
        if options.resumes:
            resume_table(Path(folder), options.resumes, chance)


if __name__ == "__main__":
    main()
