"""The numerical study of the report, all five models: iterations of Adam on the same data from the same particles."""

from functools import partial

import numpy as np

import particleflow as pf
from validation.benchmarks.contest import OURS, Bar, Contest, Row
from validation.benchmarks.torch_study import Training
from validation.study.settings import ADAM_RATE, FULL, GAMMA, PROBLEMS, QUICK, Run
from validation.study.training import build_problem

MODELS = "two", "three", "three-on-two", "hard", "soft"


def contest(quick):
    """Return the contest: one computation is so many iterations of every model."""
    iterations = 5 if quick else 30
    runs = [
        Run(name, "adam", 0, QUICK if quick else FULL, ADAM_RATE, iterations, GAMMA if PROBLEMS[name].soft else 0.0)
        for name in MODELS
    ]
    problems = [build_problem(run) for run in runs]
    ours, results = [None] * len(problems), {}

    def run_ours():
        for place, (energy, start) in enumerate(problems):
            flow = pf.solve(energy, start, method="adam", learning_rate=ADAM_RATE, steps=iterations, frames=1)
            ours[place] = flow.measure.particles

    variants = {OURS: run_ours}
    results[OURS] = partial(_flat, ours)
    for name, compiled in (("torch autograd", False), ("torch compiled autograd", True)):
        if compiled and quick:
            continue
        trainings = [Training(energy, start, ADAM_RATE, compiled=compiled) for energy, start in problems]
        ends = [None] * len(trainings)
        variants[name] = partial(_train, trainings, iterations, ends)
        results[name] = partial(_flat, ends)
    return Contest(variants, results, tolerance=1e-6)


def _train(trainings, iterations, ends):
    for place, training in enumerate(trainings):
        ends[place] = training(iterations)


def _flat(clouds):
    return np.concatenate([cloud.ravel() for cloud in clouds])


TITLE = "the report's five models, n = 4000, d = 100, m = 50, s = 16: 30 iterations of Adam each"
ROWS = (Row("study", TITLE, contest, (Bar("torch", 2.0, 3.0),)),)
