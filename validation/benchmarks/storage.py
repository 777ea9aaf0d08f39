"""Writing a trajectory with large frames, each of them safe on disk before the flow goes on: ours, and h5py by hand.

Which share of a run that is, `python -m validation.durability` says.
"""

import tempfile
from pathlib import Path

import numpy as np

import particleflow as pf
from validation.benchmarks.contest import OURS, Bar, Contest, Row

PARTICLES, FEATURES, FRAMES = 10_000, 100, 16
CHUNK = 1250  # particles, 1 MB


class _Caught(pf.Observer):
    """An observer that keeps what a writer would be told."""

    def start(self, info):
        self.info = info

    def record(self, state, observables):
        self.frame = state, observables

    def finish(self, result):
        self.result = result


def ours(folder):
    """Return a function that writes a trajectory of equal frames, and one that reads its last frame."""
    rng, caught = np.random.default_rng(1), _Caught()
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (rng.normal(size=(10, FEATURES)), rng.normal(size=10)))
    start = pf.sphere(PARTICLES, FEATURES, rng=1)
    pf.solve(energy, start, 1e-6, method="euler", step=1e-6, frames=1, observers=[caught])
    path = folder / "ours.h5"

    def run():
        path.unlink(missing_ok=True)
        writer = pf.TrajectoryWriter(path)
        writer.start(caught.info)
        for _ in range(FRAMES):
            writer.record(*caught.frame)
        writer.finish(caught.result)

    def last():
        with pf.open(path) as trajectory:
            return trajectory.particles(-1).particles

    return run, last, caught.frame[0].theta


def by_hand(folder, particles):
    """Return the same for one dataset in chunks of 1 MB, flushed after each frame."""
    import h5py

    path, shape = folder / "by_hand.h5", particles.shape

    def run():
        with h5py.File(path, "w") as file:
            options = {"maxshape": (None, *shape), "chunks": (1, CHUNK, shape[1]), "dtype": "f8"}
            frames = file.create_dataset("particles", shape=(0, *shape), **options)
            for k in range(FRAMES):
                frames.resize(k + 1, axis=0)
                frames[k] = particles
                file.flush()

    def last():
        with h5py.File(path) as file:
            return file["particles"][-1]

    return run, last


def contest(quick):
    """Return the contest; its files are in a folder that lives as long as the contest does."""
    folder = tempfile.TemporaryDirectory()
    run, last, particles = ours(Path(folder.name))
    hand, last_by_hand = by_hand(Path(folder.name), particles)
    contest = Contest({OURS: run, "h5py by hand": hand}, {OURS: last, "h5py by hand": last_by_hand})
    contest.work, contest.folder = FRAMES * particles.nbytes, folder
    return contest


TITLE = f"{FRAMES} frames of {PARTICLES} x {1 + FEATURES} float64 (8 MB), each flushed, in ns a byte"
ROWS = (Row("frames-8MB", TITLE, contest, (Bar("", 1.0, 0.67, "ns"),)),)
