"""What the numbers say: curves over seeds, the table of final errors, and a verdict on each claim of the report."""

from dataclasses import dataclass

import numpy as np

from validation.study.settings import COMPARED, GAMMA, MODES, OTHER_GAMMAS, PROBLEMS

CLEARLY, CLOSE, NEAR = 0.5, 0.2, 10.0
"""When an error is clearly smaller (by this factor), two are close (relatively), two percentages near (points)."""

REPORT_ROWS, REPORT_LOSS = -46.0, -83.0
"""The report's changes of synchronisation term and usual loss, in percent."""


@dataclass(frozen=True)
class Verdict:
    """What became of a claim in one mode: whether it `holds`, and the numbers in words."""

    claim: str
    mode: str
    holds: bool
    numbers: str

    @property
    def word(self):
        """The verdict."""
        return "reproduces" if self.holds else "does not reproduce"


class Results:
    """All results of a study.

    Parameters
    ----------
    plan : Plan
        What was to be run.
    found : dict of Run → dict of arrays
        What came out.
    """

    def __init__(self, plan, found):
        self.plan, self.found = plan, found

    def arrays(self, problem, mode):
        """Return the arrays of each seed."""
        return [self.found[self.plan.run(problem, mode, seed)] for seed in range(self.plan.seeds[mode])]

    def series(self, problem, mode, name):
        """Return the horizontal values of a mode's axis, as far as all seeds came, and a series, one row per seed."""
        arrays, axis = self.arrays(problem, mode), MODES[mode].axis
        x = min((array[axis] for array in arrays), key=lambda values: values[-1])
        return x, np.array([np.interp(x, array[axis], array[name]) for array in arrays])

    def change(self, problem, mode, name):
        """Return the relative change in percent along training, one row per seed."""
        x, rows = self.series(problem, mode, name)
        return x, 100 * (rows / rows[:, :1] - 1)

    def at(self, frame, problem, mode, name="test_error"):
        """Return a series at a frame, 0 for the first and −1 for the last one, for each seed."""
        return np.array([array[name][frame] for array in self.arrays(problem, mode)])

    def final(self, problem, mode):
        """Return the final test errors, one per seed."""
        return self.at(-1, problem, mode)

    def final_change(self, problem, mode, name):
        """Return the relative change in percent over a training, one per seed."""
        return 100 * (self.at(-1, problem, mode, name) / self.at(0, problem, mode, name) - 1)

    @property
    def cpu(self):
        """The processor time of all runs, in seconds."""
        return float(sum(arrays["cpu"] for arrays in self.found.values()))

    # --- tables, as rows of text --------------------------------------------------------------------------------------

    def error_table(self):
        """Return header and rows: the final test error of each problem in each mode, mean ± standard deviation."""
        header = ["figure", "problem", *(f"{MODES[mode].title} ({count(self.plan.seeds[mode])})" for mode in COMPARED)]
        rows = []
        for problem in PROBLEMS.values():
            errors = [self.final(problem.name, mode) for mode in COMPARED]
            starts = [self.at(0, problem.name, mode).mean() for mode in COMPARED]
            cells = (f"{plus_minus(error)} (from {start:.2f})" for error, start in zip(errors, starts, strict=True))
            rows.append([problem.figure or "—", problem.title, *cells])
        return header, rows

    def flow_table(self):
        """Return header and rows: the step and the end of each gradient flow, and the size of its teacher."""
        seeds = range(self.plan.seeds["flow"])
        header = ["problem", *(f"seed {seed}: mean of f*², step, end" for seed in seeds)]
        rows = []
        for problem in PROBLEMS.values():
            cells = []
            for array in self.arrays(problem.name, "flow"):
                end, size = array["time"][-1], float(array["target"])
                cells.append(f"{size:.1f}, {end / round(array['iteration'][-1]):.3g}, t = {end:.3g}")
            rows.append([problem.title, *cells])
        return header, rows

    def text_table(self):
        """Return header and rows: how little moves with the τ of the report's text."""
        header = ["problem", "steps", "flow time", "test error, start", "test error, end", "relative change"]
        rows = []
        for run in self.plan.text_runs():
            arrays = self.found[run]
            first, last = arrays["test_error"][[0, -1]]
            steps = f"{run.steps} of η = {run.learning_rate:.0e}"
            cells = (
                f"{arrays['time'][-1]:.1e}",
                f"{first:.5f}",
                f"{last:.5f}",
                f"{100 * (last / first - 1):+.2g} %".replace("-", "−"),
            )
            rows.append([PROBLEMS[run.problem].title, steps, *cells])
        return header, rows

    def check_table(self):
        """Return header and rows: seed 0 with another start, λ, V, γ or step than the figures have."""
        header = [
            "problem",
            "training",
            "V",
            "λ",
            "γ",
            "steps",
            "test error",
            "usual loss",
            "synchronisation",
            "penalty / loss",
        ]
        rows = []
        for run in self.plan.checks():
            arrays = self.found[run]
            ratios = (f"{run.gamma * arrays['rows'][k] / arrays['risk'][k]:.2g}" for k in (0, -1)) if run.gamma else "—"
            settings = (MODES[run.mode].title, run.regularizer, f"{run.strength:g}", f"{run.gamma:g}", f"{run.steps}")
            error = " → ".join(f"{arrays['test_error'][k]:.3f}" for k in (0, -1))
            cells = (error, changes(arrays, "risk"), changes(arrays, "rows"), " → ".join(ratios))
            rows.append([PROBLEMS[run.problem].title, *settings, *cells])
        return header, rows

    def tables(self):
        """Return all tables there are, by their titles."""
        tables = {"Final test errors": self.error_table(), "Gradient flows": self.flow_table()}
        tables |= {"Gradient descent with the text's τ": self.text_table()}
        if set(self.plan.checks()) <= self.found.keys():
            tables["Checks: other starts, regularisers, penalties and steps"] = self.check_table()
        return tables

    # --- verdicts -----------------------------------------------------------------------------------------------------

    def verdicts(self):
        """Return a verdict on each claim of the report in each mode."""
        judges = (self.judge_hard, self.judge_hard_against_free, self.judge_soft, self.judge_figure_nine)
        return [judge(mode) for judge in judges for mode in COMPARED]

    def judge_hard(self, mode):
        """Judge whether the hard model learns."""
        hard, start = self.final("hard", mode), self.at(0, "hard", mode)
        numbers = f"its test error falls from {plus_minus(start)} to {plus_minus(hard)}."
        claim = "the hard synchronised model is clearly effective: it learns its teacher"
        return Verdict(claim, mode, bool((hard < CLEARLY * start).all()), numbers)

    def judge_hard_against_free(self, mode):
        """Judge whether the hard model is better than the unsynchronised one."""
        hard, free, own = (self.final(name, mode) for name in ("hard", "free", "three"))
        holds = bool((hard < free).all() and np.mean(hard) < CLEARLY * np.mean(free))
        numbers = (
            f"on one teacher, the hard one, the hard model ends at {plus_minus(hard)}, the unsynchronised one at "
            f"{plus_minus(free)}; the ratio of the means is {np.mean(hard) / np.mean(free):.2f}, and the hard model is "
            f"better for {np.sum(hard < free)} of {count(len(hard))}. On the three-layer teacher of figure 5 the "
            f"unsynchronised one ends at {plus_minus(own)}."
        )
        return Verdict(
            "the hard synchronised model is clearly better than the unsynchronised one", mode, holds, numbers
        )

    def judge_soft(self, mode):
        """Judge whether the soft model performs like the unsynchronised one."""
        soft, free = self.final("soft", mode), self.final("free", mode)
        difference = soft / free - 1
        numbers = (
            f"with γ = {GAMMA:g} the soft model ends at {plus_minus(soft)}, the unsynchronised one on the same teacher "
            f"and data at {plus_minus(free)}; seed by seed the soft one differs by {signed(100 * np.mean(difference))} "
            f"(from {signed(100 * difference.min())} to {signed(100 * difference.max())})."
        )
        claim = "the soft synchronised model performs like the unsynchronised one"
        return Verdict(claim, mode, bool(abs(np.mean(difference)) <= CLOSE), numbers)

    def judge_figure_nine(self, mode):
        """Judge the percentages of figure 9."""
        rows, loss = (self.final_change("soft", mode, name) for name in ("rows", "risk"))
        free = self.final_change("free", mode, "rows")
        holds = abs(np.mean(rows) - REPORT_ROWS) <= NEAR and abs(np.mean(loss) - REPORT_LOSS) <= NEAR
        numbers = (
            f"with γ = {GAMMA:g} the synchronisation term changes by {plus_minus(rows, 1)} %, the usual loss by "
            f"{plus_minus(loss, 1)} %. Without the penalty the same term changes by {plus_minus(free, 1)} %."
        )
        others = [self.plan.run("soft", mode, 0, gamma=gamma) for gamma in OTHER_GAMMAS]
        if set(others) <= self.found.keys():
            listed = (
                f"γ = {run.gamma:g} leads to {changes(self.found[run], 'rows')} and {changes(self.found[run], 'risk')}"
                for run in others
            )
            numbers += (
                f" The report names no γ; from seed 0, {', '.join(listed)} (the second γ was chosen to meet −46 %)."
            )
        claim = "the synchronisation term changes by about −46 %, the usual loss by −83 %"
        return Verdict(claim, mode, bool(holds), numbers)


def count(seeds):
    """Return the number of seeds in words."""
    return f"{seeds} seed{'s' * (seeds != 1)}"


def plus_minus(values, digits=3):
    """Return "mean ± standard deviation" of values, the mean alone if there is but one."""
    deviation = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{deviation}".replace("-", "−")


def changes(arrays, name):
    """Return the relative change of a series as text."""
    if name not in arrays:
        return "—"
    return signed(100 * (arrays[name][-1] / arrays[name][0] - 1))


def signed(percentage, form=".0f"):
    """Return a percentage with its sign."""
    return f"{percentage:+{form}} %".replace("-", "−")
