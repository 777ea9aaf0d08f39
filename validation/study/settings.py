"""What the study runs: sizes, problems, modes, and one `Run` for every curve."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace

import particleflow as pf

FORMAT = 1
"""Of the stored results: others are computed anew."""

STRENGTH = 0.1
LISTED_NORM, TEXT_NORM = "scaled-squared-norm", "path-norm"
GAMMA = 1e-3
"""λ, the regularisers of the report's listing and of its text, and γ, for which penalty and loss start at one size."""

OTHER_GAMMAS = 1e-4, 6e-4, 1e-2
"""Checks; at the second one the synchronisation term falls as the report says."""

ADAM_RATE, TEXT_RATE = 1e-3, 1e-5
"""The learning rates of the report's listing and of its text."""

FLOW_STEP, RISE = 0.1, 1.1
"""The steps of the gradient flow, in flow time; halved if the energy rises to so many times its lowest."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of a study, with the report's names.

    Attributes
    ----------
    n, d : int
        Training rows (as many again for testing) and features.
    m_t, s_t : int
        Neurons of the teacher, and first-layer neurons that each reads (on average, for the hard one).
    m, s : int
        The same for the model.
    iterations : int
        Steps of Adam.
    descents : int
        Steps of gradient descent that follow the gradient flow, of `FLOW_STEP` each if the energy allows it.
    """

    n: int
    d: int
    m_t: int
    s_t: int
    m: int
    s: int
    iterations: int
    descents: int


FULL = Sizes(n=4000, d=100, m_t=10, s_t=4, m=50, s=16, iterations=1000, descents=400)
QUICK = Sizes(n=60, d=6, m_t=5, s_t=2, m=10, s=4, iterations=12, descents=12)


@dataclass(frozen=True)
class Problem:
    """A model and the teacher it learns.

    Attributes
    ----------
    name : str
        A short name, for files and messages.
    figure : str
        The report's figure; empty for the curve that the report lacks.
    model, teacher : str
        "two-layer", "three-layer" or "hard-synchronized".
    soft : bool
        Whether the synchronisation penalty is added.
    title : str
        For figures and tables.
    weight : float
        Roughly what one step costs, for estimates of the time left.
    """

    name: str
    figure: str
    model: str
    teacher: str
    soft: bool
    title: str
    weight: float


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem("two", "4", "two-layer", "two-layer", False, "two-layer model, two-layer teacher", 5),
        Problem("three", "5", "three-layer", "three-layer", False, "three-layer model, three-layer teacher", 55),
        Problem("three-on-two", "6", "three-layer", "two-layer", False, "three-layer model, two-layer teacher", 55),
        Problem("hard", "7", "hard-synchronized", "hard-synchronized", False, "hard model, hard teacher", 10),
        Problem("soft", "8", "three-layer", "hard-synchronized", True, "soft model, hard teacher", 110),
        Problem("free", "", "three-layer", "hard-synchronized", False, "three-layer model, hard teacher", 55),
    )
}


@dataclass(frozen=True)
class Mode:
    """A training loop and its start.

    Attributes
    ----------
    name, title : str
        For files, and for people.
    method : str
        Of `pf.solve`.
    start : str
        "gaussian": all parameters from N(0, 1). "torch": the defaults of PyTorch's layers, which the listing would get.
    axis : str
        What the horizontal axis of a figure shows: "iteration" or "time".
    """

    name: str
    title: str
    method: str
    start: str
    axis: str


MODES = {
    mode.name: mode
    for mode in (
        Mode("listing", "Adam, as listed", "adam", "torch", "iteration"),
        Mode("flow", "gradient flow, as in the text", "euler", "torch", "time"),
        Mode("adam", "Adam, Gaussian start", "adam", "gaussian", "iteration"),
        Mode("text", "gradient descent, τ = 1e-5", "sgd", "torch", "iteration"),
    )
}
COMPARED = ("listing", "flow")
"""The modes of the figures, and of the verdicts."""


@dataclass(frozen=True)
class Run:
    """One training: everything that decides its result.

    Attributes
    ----------
    problem, mode : str
        Keys of `PROBLEMS` and `MODES`.
    seed : int
        Of teacher, data, supports and start.
    sizes : Sizes
        The sizes.
    learning_rate : float
        η, the first one of a gradient flow; before the factor that Adam takes with the start "torch".
    steps : int
        How many.
    gamma : float
        γ; 0 for problems that are not soft.
    regularizer : str
        V.
    strength : float
        λ.
    """

    problem: str
    mode: str
    seed: int
    sizes: Sizes
    learning_rate: float
    steps: int
    gamma: float = 0.0
    regularizer: str = LISTED_NORM
    strength: float = STRENGTH

    def describe(self):
        """Return all settings as one line of JSON."""
        everything = {"format": FORMAT, "particleflow": pf.__version__, **asdict(self)}
        if MODES[self.mode].method == "euler":
            everything["rise"] = RISE
        return json.dumps(everything, sort_keys=True)

    @property
    def file(self):
        """The name of the file that holds its result."""
        digest = hashlib.sha256(self.describe().encode()).hexdigest()[:10]
        return f"{self.problem}-{self.mode}-seed{self.seed}-{digest}.npz"

    @property
    def cost(self):
        """Roughly what it takes, in arbitrary units."""
        return PROBLEMS[self.problem].weight * self.steps

    @property
    def title(self):
        """A title for progress lines."""
        extra = f", γ = {self.gamma:g}" if self.gamma not in (0.0, GAMMA) else ""
        extra += f", λ = {self.strength:g}" if self.strength != STRENGTH else ""
        return f"{PROBLEMS[self.problem].title}; {MODES[self.mode].title}; seed {self.seed}{extra}"


@dataclass(frozen=True)
class Plan:
    """The runs of a study.

    Attributes
    ----------
    sizes : Sizes
        The sizes.
    seeds : dict of str → int
        How many seeds each of the modes that are compared takes.
    """

    sizes: Sizes
    seeds: dict

    def run(self, problem, mode, seed, **changes):
        """Return one run."""
        sizes = self.sizes
        rate, steps, regularizer = {
            "listing": (ADAM_RATE, sizes.iterations, LISTED_NORM),
            "adam": (ADAM_RATE, sizes.iterations, LISTED_NORM),
            "flow": (FLOW_STEP * sizes.m / 2, sizes.descents, TEXT_NORM),
            "text": (TEXT_RATE, sizes.iterations, TEXT_NORM),
        }[mode]
        gamma = GAMMA if PROBLEMS[problem].soft else 0.0
        return replace(Run(problem, mode, seed, sizes, rate, steps, gamma, regularizer), **changes)

    def main_runs(self):
        """Return the runs of the figures."""
        return [
            self.run(problem, mode, seed)
            for mode in COMPARED
            for problem in PROBLEMS
            for seed in range(self.seeds[mode])
        ]

    def text_runs(self):
        """Return gradient descent with the τ of the report's text, from seed 0.

        The cheap models take all its iterations. The others take 20 steps to the same flow time, which at such steps
        makes no difference that could be seen; the two cheap ones are run both ways, to show it.
        """
        few = 20
        coarse = {"steps": few, "learning_rate": TEXT_RATE * self.sizes.iterations / few}
        runs = [self.run(problem, "text", 0, **coarse) for problem in PROBLEMS]
        return runs + [self.run(problem, "text", 0) for problem in ("two", "hard")]

    def checks(self):
        """Return runs of seed 0 that change one thing: the start, λ, V, γ or the step."""
        usual = [self.run(name, mode, 0) for mode in COMPARED for name in ("two", "hard", "soft", "free")]
        gaussian = [self.run(name, "adam", 0) for name in ("hard", "soft", "free")]
        listed = [self.run(name, "flow", 0, regularizer=LISTED_NORM) for name in ("hard", "free")]
        others = [self.run("soft", "flow", 0, gamma=gamma) for gamma in OTHER_GAMMAS]
        finer = {"steps": 2 * self.sizes.descents, "learning_rate": FLOW_STEP * self.sizes.m / 4}
        halved = [self.run(name, "flow", 0, **finer) for name in ("two", "hard")]
        weaker = [self.run(name, "listing", 0, strength=STRENGTH / 10) for name in ("hard", "free")]
        return [*usual, *gaussian, *weaker, *listed, *others, *halved]
