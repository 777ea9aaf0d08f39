"""Ways down to the global minimum: how near each comes in a minute. docs/global_minimum.md shows the tables.

``python -m validation.ways_down [PROBLEM …] [--seconds 60] [--particles 200 1000] [--json]`` runs every way from the
same start. The least energy is known by other code (`pf.global_minimum`); gaps are relative, seconds those of the
processor, so that other programs do not count. ``--polish`` polishes many measures, good and bad, of many problems
instead.
"""

import argparse
import json
import time

import numpy as np

import particleflow as pf

WAYS = {
    "flow": {},
    "flow, rtol 1e-4": {"rtol": 1e-4},
    "with births": {"rtol": 1e-4, "birth": {"every": 1000.0, "particles": 5}},
    "masses 5 times as fast": {"rtol": 1e-4, "metric": pf.ConicMetric(masses=2.5, positions=1.0)},
    "gradient descent": {"method": "euler"},
}
"""The settings of `pf.solve` for each way, and the metric; the Euclidean one is that of masses=0.5, positions=1."""
LEVELS = (1e-2, 1e-3, 1e-4)
"""The energy gaps whose time is reported."""


def teacher(n, rng):
    """Return data labelled by four relu neurons."""
    X = rng.standard_normal((n, 2))
    return X, np.maximum(X @ rng.standard_normal((2, 4)), 0.0) @ rng.standard_normal(4)


def xor(n, rng):
    """Return data labelled by the quadrant they lie in."""
    X = rng.standard_normal((n, 2))
    return X, np.sign(X[:, 0] * X[:, 1])


def random_labels(n, rng):
    """Return data labelled ±1 by chance."""
    return rng.standard_normal((n, 2)), rng.choice([-1.0, 1.0], n)


def sine(n, rng):
    """Return a noisy sine of one variable, with a bias."""
    x = rng.uniform(-2.0, 2.0, n)
    return np.column_stack([x, np.ones(n)]), np.sin(3.0 * x) + 0.1 * rng.standard_normal(n)


KINDS = {"teacher": teacher, "xor": xor, "random labels": random_labels, "sine": sine}
PROBLEMS = {
    "teacher": (100, 1e-1, 0.3),
    "xor": (100, 1e-1, 0.3),
    "random labels": (100, 1e-3, 0.1),
    "sine": (100, 1e-3, 0.03),
}
"""n, λ and the step of gradient descent in flow time, the best of 1, 0.3, 0.1 and 0.03 by trial."""


def problem(kind, n, strength, seed=0, metric=None):
    """Return the energy of a problem."""
    data = KINDS[kind](n, np.random.default_rng(seed))
    return pf.EmpiricalEnergy(pf.TwoLayer("relu"), data, strength=strength, metric=metric)


# --- the ways ---------------------------------------------------------------------------------------------------------


class Clock(pf.Observer):
    """Records the processor time at each frame, as `seconds`, and stops when it is used up."""

    def __init__(self, most):
        self.most = most

    def start(self, info):
        """Start."""
        self.begin = time.process_time()

    def measure(self, state):
        """Return the seconds since the start."""
        return {"seconds": time.process_time() - self.begin}

    def watch(self, state):
        """Stop in time."""
        if time.process_time() - self.begin >= self.most:
            return pf.Stop("budget", "the time is used up")
        return None


def follow(energy, start, least, seconds, settings):
    """Return the row of one way, and where it ended."""
    pf.solve(energy, start, 1.0, frames=1, **settings)  # compiles
    observers = [Clock(seconds), pf.CertifiedGap(1e-6)]
    result = pf.solve(energy, start, 1e6, frames=np.geomspace(1.0, 1e6, 150), observers=observers, **settings)
    gaps, clock = result.observables["energy"] / least - 1, result.observables["seconds"]
    times = {level: clock[gaps <= level] for level in LEVELS}
    row = {
        "seconds": float(clock[-1]),
        "flow_time": result.t,
        "energy_gap": gaps[-1],
        "certified_gap": pf.certify(energy, result.measure).relative_gap,
        **{f"seconds_to_{level:g}": float(found[0]) if len(found) else None for level, found in times.items()},
    }
    return row, result.measure


def polish(energy, measure, least):
    """Return the row of polishing."""
    begin = time.process_time()
    certificate = pf.polish(energy, measure).certificate
    seconds = time.process_time() - begin
    return {
        "seconds": seconds,
        "flow_time": None,
        "energy_gap": max(certificate.energy / least - 1, 0.0),
        "certified_gap": certificate.relative_gap,
        **dict.fromkeys((f"seconds_to_{level:g}" for level in LEVELS), seconds),
    }


def rows(kind, m, seconds):
    """Yield the rows of one problem with m particles."""
    n, strength, step = PROBLEMS[kind]
    energy, start = problem(kind, n, strength), pf.sphere(m, 2, rng=0)
    least = pf.global_minimum(energy.data, strength=energy.strength).energy
    measures = {"start": start}
    for way, settings in WAYS.items():
        settings = {"step": step, **settings} if settings.get("method") == "euler" else settings
        settings = dict(settings)
        moved = problem(kind, n, strength, metric=settings.pop("metric", None))
        row, measures[way] = follow(moved, start, least, seconds, settings)
        yield {"problem": kind, "particles": m, "way": way, **row}
    for name in ("start", "flow"):
        yield {"problem": kind, "particles": m, "way": f"polish the {name}", **polish(energy, measures[name], least)}


# --- polishing from everywhere ----------------------------------------------------------------------------------------


def narrow(m, seed):
    """Return a measure whose directions fill a thousandth of the circle, of one sign."""
    t = 1.0 + 6e-3 * np.random.default_rng(seed).random(m)
    layout = pf.TwoLayer("relu").layout(2)
    return pf.EmpiricalMeasure.from_blocks(layout, a=np.full(m, -1.0), w=np.column_stack([np.cos(t), np.sin(t)]))


STARTS = {
    "untrained, m = 1000": lambda seed: pf.sphere(1000, 2, rng=seed),
    "one sign": lambda seed: pf.one_signed(200, 2, rng=seed),
    "half of the directions": lambda seed: pf.half_sphere(200, 2, rng=seed),
    "a narrow arc": lambda seed: narrow(50, seed),
    "tiny": lambda seed: pf.gaussian(200, 2, radius=1e-8, rng=seed),
    "huge": lambda seed: pf.gaussian(200, 2, radius=1e4, rng=seed),
    "trained to t = 20": None,
}


def polish_everywhere(instances=40):
    """Yield, for each start, the worst certified gap and the longest time over the instances."""
    rng = np.random.default_rng(0)
    sizes = [(int(rng.integers(10, 201)), 10 ** rng.uniform(-3, -1)) for _ in range(instances)]
    energies = [problem(list(KINDS)[seed % 4], *size, seed=seed) for seed, size in enumerate(sizes)]
    for name, law in STARTS.items():
        gaps, seconds, iterations = [], [], []
        for seed, energy in enumerate(energies):
            if law is None:
                start = pf.solve(energy, pf.sphere(200, 2, rng=seed), 20.0, rtol=1e-3, frames=1).measure
            else:
                start = law(seed)
            polished = pf.polish(energy, start)
            gaps.append(polished.certificate.relative_gap)
            seconds.append(polished.seconds)
            iterations.append(polished.iterations)
        yield {
            "start": name,
            "instances": instances,
            "largest_certified_gap": max(gaps),
            "longest_seconds": max(seconds),
            "mean_iterations": float(np.mean(iterations)),
        }


# --- printing ---------------------------------------------------------------------------------------------------------


def table(found):
    """Yield the lines of a Markdown table, one row at a time."""
    for number, row in enumerate(found):
        if number == 0:
            yield f"| {' | '.join(name.replace('_', ' ') for name in row)} |"
            yield f"|{'---|' * len(row)}"
        yield f"| {' | '.join(cell(value) for value in row.values())} |"


def cell(value):
    """Return a value as the cell of a table."""
    if value is None:
        return "—"
    return value if isinstance(value, str) else f"{value:.2g}" if isinstance(value, float) else str(value)


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m validation.ways_down", description=__doc__.splitlines()[0])
    parser.add_argument("problems", nargs="*", metavar="PROBLEM", help=f"{', '.join(PROBLEMS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the processor, for each way (default: 60)")
    parser.add_argument("--particles", type=int, nargs="+", default=[200, 1000], metavar="M")
    parser.add_argument("--polish", action="store_true", help="polish many measures of many problems instead")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    if unknown := set(options.problems) - PROBLEMS.keys():
        parser.error(f"there is no problem {min(unknown)!r}; valid: {', '.join(PROBLEMS)}")
    if options.polish:
        found = polish_everywhere()
    else:
        kinds = options.problems or PROBLEMS
        found = (row for kind in kinds for m in options.particles for row in rows(kind, m, options.seconds))
    if options.json:
        print(json.dumps(list(found), indent=2))
    else:
        for line in table(found):
            print(line, flush=True)


if __name__ == "__main__":
    main()
