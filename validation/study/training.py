"""One training: data, start, model, flow."""

import time

import numpy as np

import particleflow as pf
from validation.study.settings import MODES, PROBLEMS, RISE

FRAMES = 40
_TEACHER, _DATA, _SUPPORTS, _START = range(4)


def build_model(kind, m, s, rng):
    """Return a network; `rng` draws the Bernoulli supports of the hard one."""
    if kind == "two-layer":
        return pf.TwoLayer("relu")
    return pf.ThreeLayer(s) if kind == "three-layer" else pf.HardSynchronized(pf.bernoulli_supports(m, s, rng))


def build_problem(run):
    """Return the energy and the initial measure of a run: the same teacher and data for all models with its teacher."""
    problem, sizes = PROBLEMS[run.problem], run.sizes
    teacher = build_model(problem.teacher, sizes.m_t, sizes.s_t, _random(run, _TEACHER))
    data, _ = pf.teacher_dataset(teacher, n=sizes.n, d=sizes.d, neurons=sizes.m_t, rng=_random(run, _DATA))
    model = build_model(problem.model, sizes.m, sizes.s, _random(run, _SUPPORTS))
    penalty = pf.Synchronization("sum-w2", strength=run.gamma) if problem.soft else None
    options = {"regularizer": run.regularizer, "strength": run.strength, "synchronization": penalty}
    energy = pf.EmpiricalEnergy(model, data, **options)
    start = torch_start if MODES[run.mode].start == "torch" else pf.gaussian
    return energy, start(sizes.m, energy.layout, rng=_random(run, _START))


def torch_start(m, layout, rng):
    """Draw what PyTorch's linear layers start from, on the scale of f = (1/m) Σ φ_i.

    Layers are uniform on ±1/√(number of inputs); the listing has no factor 1/m, and its network is this one with every
    layer times m^(1/L), L the number of layers: relu is homogeneous.
    """
    blocks, scale = {}, layer_scale(m, layout)
    for name, axes in layout.blocks:
        shape = (m, *(length for _, length in axes))
        inputs = m if name == "a" or (name == "u" and shape_of_first_layer(layout) == 1) else shape[-1]
        blocks[name] = scale * rng.uniform(-1.0, 1.0, shape) / np.sqrt(inputs)
    return pf.EmpiricalMeasure.from_blocks(layout, **blocks)


def shape_of_first_layer(layout):
    """Return how many axes W has: one where the second layer reads all m neurons (through a mask), else two."""
    return len(dict(layout.blocks)["W"])


def layer_scale(m, layout):
    """Return m^(1/L). Adam does not see the scale of gradients: with its rate times this it takes the same way."""
    return m ** (1 / len(layout.blocks))


def _random(run, purpose):
    return np.random.default_rng([run.seed, purpose])


class Rows(pf.Observer):
    """The report's synchronisation term Σ_{k<l} W2²(μ^k, μ^l) of a three-layer network that is not asked to have it."""

    def start(self, info):
        """Remember the layout."""
        self.layout = info.measure.layout

    def measure(self, state):
        """Return the term."""
        return {"rows": pf.sum_w2_squared(pf.cluster_rows(pf.EmpiricalMeasure(state.theta, self.layout)))}


class Rise(pf.Observer):
    """Ends a flow whose energy rises above its lowest value so far, times `RISE`."""

    def start(self, info):
        """Forget the flow before."""
        self.lowest = np.inf

    def watch(self, state):
        """Stop if the energy has risen."""
        self.lowest = min(self.lowest, state.energy)
        return None if state.energy <= RISE * self.lowest else pf.Stop("diverged", "the energy rises")


def train(run):
    """Train and return the arrays of a result.

    Returns
    -------
    dict of str → ndarray or float
        Per frame: "iteration", "time", "test_error", "risk", "regularization" and, for three-layer networks, "rows",
        the synchronisation term without γ. Numbers: "cpu" (seconds), "evaluations", and "target", the mean of f*².
    """
    begin, mode = time.process_time(), MODES[run.mode]
    energy, start = build_problem(run)
    scaled = mode.method == "adam" and mode.start == "torch"
    rate = run.learning_rate * (layer_scale(run.sizes.m, energy.layout) if scaled else 1.0)
    step = pf.flow_time(rate, 1, run.sizes.m)
    watchers = [Rows()] if energy.model.kind == "three-layer" and not run.gamma else []
    if mode.method == "euler":
        result, step = follow(energy, start, step, run.steps, watchers)
    else:
        frames = step * np.unique(np.linspace(1, run.steps, FRAMES).astype(int))
        settings = {"method": mode.method, "learning_rate": rate, "steps": run.steps}
        result = pf.solve(energy, start, frames=frames, observers=watchers, **settings)
    if result.status == "interrupted":
        raise KeyboardInterrupt
    if not result.ok:
        raise RuntimeError(f"{run.title}: {result.message}")
    table = result.observables
    arrays = {name: table[name] for name in ("time", "test_error", "risk", "regularization")}
    if run.gamma:
        arrays["rows"] = table["synchronization"] / run.gamma
    elif watchers:
        arrays["rows"] = table["rows"]
    numbers = {
        "cpu": time.process_time() - begin,
        "evaluations": result.evaluations,
        "target": np.mean(energy.data.y**2),
    }
    return {"iteration": table["time"] / step, **arrays, **numbers}


def follow(energy, start, step, steps, watchers):
    """Follow the gradient flow by steps of gradient descent, as many as are given: smaller ones if the energy rises.

    Returns
    -------
    result : FlowResult
        Of the first flow that descends; its end is nearer if its steps are smaller.
    step : float
        Their size.
    """
    while True:
        t_end = steps * step
        frames = pf.log_spaced(t_end, FRAMES, first=1 / steps)
        result = pf.solve(energy, start, t_end, method="euler", step=step, frames=frames, observers=[*watchers, Rise()])
        if result.status != "diverged" or step < 1e-9:
            return result, step
        step /= 2
