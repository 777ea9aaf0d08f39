"""Methods by name: which settings each takes, and how it is made ready for an energy.

- euler, heun, rk4: fixed steps; bs23, dopri5: adaptive steps (`particleflow.integrators.runge_kutta`)
- mirror: fixed steps that multiply weights (`particleflow.integrators.mirror`)
- langevin: noise (`particleflow.integrators.langevin`)
- sgd, adam: training loops (`particleflow.integrators.optimizers`)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from particleflow.births import Births
from particleflow.errors import InvalidInput
from particleflow.integrators.langevin import Langevin, Temperature
from particleflow.integrators.mirror import MirrorDescent
from particleflow.integrators.optimizers import SGD, Adam, Batches
from particleflow.integrators.runge_kutta import RungeKutta
from particleflow.integrators.step_size import FixedStep, PIController
from particleflow.integrators.tableaus import EULER, TABLEAUS, Tableau
from particleflow.observers import EnergyBalance, EnergyParts, FreeEnergy, Invariants, StepCount
from particleflow.values import is_integer, is_real

RTOL, ATOL = 1e-6, 1e-12
"""Tolerances of the adaptive methods, unless given."""


@dataclass(frozen=True)
class Plan:
    """A method ready to run.

    Attributes
    ----------
    settings : dict
        The method's part of the [flow] table of a configuration.
    t_end : float
        Where the flow ends.
    controller : FixedStep or PIController
        The step size; its `grid` says where frames can be.
    observers : tuple of Observer
        What is measured with this method in particular.
    build : callable
        Returns the integrator.
    """

    settings: dict
    t_end: float
    controller: FixedStep | PIController
    observers: tuple
    build: Callable


@dataclass(frozen=True)
class Method:
    """What a name in ``flow.method`` stands for.

    Attributes
    ----------
    name : str
        The name.
    settings : dict of str → object
        The settings that apply and their defaults; `_REQUIRED` if there is none.
    manner : str
        How it takes its steps, for messages.
    plan : callable
        ``plan(method, energy, measure, t_end, seed, **settings) -> Plan``.
    tableau : Tableau or None
        Of a Runge–Kutta method, or of one that differs from it by a retraction: these know metrics.
    """

    name: str
    settings: dict
    manner: str
    plan: Callable
    tableau: Tableau | None = None


_REQUIRED = object()
_REASONS = {
    "temperature": 'steps that are chosen after their noise was seen would bias it; method = "langevin" takes noise',
    "monotone": "its error estimate rejects steps already",
}


def plan(name, settings, *, energy, measure, t_end, seed):
    """Return the `Plan` of a method.

    Parameters
    ----------
    name : str or Tableau
        One of `METHODS`, or the tableau of a Runge–Kutta method.
    settings : dict
        Settings by name; None stands for the default.
    energy : Energy
        What the particles go down.
    measure : EmpiricalMeasure
        Where they start.
    t_end : float or None
        Where the flow ends; None for methods that count steps.
    seed : int
        Of noise and mini-batches.

    Raises
    ------
    InvalidInput
        If there is no such method, a setting is missing, does not apply or cannot be used.
    """
    given = check(name, settings, t_end)
    method = _method(name)
    if getattr(energy, "metric", None) is not None:
        check_metric(name)
    return method.plan(method, energy, measure, t_end, seed, **given)


def check_metric(name):
    """Raise `InvalidInput` if a method knows the Euclidean metric only."""
    if _method(name).tableau is None:
        valid = ", ".join(known for known, other in METHODS.items() if other.tableau is not None)
        raise InvalidInput(f"flow.method = {name!r} does not go with energy.metric; valid: {valid}")


def check(name, settings, t_end):
    """Return the settings of a method, completed by its defaults; parameters and errors as for `plan`."""
    method, given = _method(name), {key: value for key, value in settings.items() if value is not None}
    for key, value in given.items():
        if key not in method.settings:
            raise InvalidInput(_not_applicable(method, key, value))
    counts_steps = "steps" in method.settings
    if counts_steps and t_end is not None:
        raise InvalidInput(f"flow.t_end = {t_end!r} does not apply to {method.name}, which counts flow.steps")
    if not counts_steps and t_end is None:
        raise InvalidInput("flow.t_end is missing")
    for key, default in method.settings.items():
        if default is _REQUIRED and key not in given:
            raise InvalidInput(f"flow.{key} is missing: {method.name} {method.manner}")
    return {key: given.get(key, default) for key, default in method.settings.items()}


def _method(name):
    """Return the method of a name or a tableau."""
    if isinstance(name, Tableau):
        return _of_tableau(name)
    if not (isinstance(name, str) and name in METHODS):
        raise InvalidInput(f"flow.method = {name!r} is unknown; valid: {', '.join(METHODS)}")
    return METHODS[name]


def _not_applicable(method, key, value):
    known = {setting for other in METHODS.values() for setting in other.settings}
    if key not in known:
        return f"flow.{key} is unknown; {method.name} takes {', '.join(method.settings)}"
    if "rtol" in method.settings and key in _REASONS:
        return f"flow.{key} = {value!r} does not apply to {method.name}: {_REASONS[key]}"
    return f"flow.{key} = {value!r} does not apply to {method.name}, which {method.manner}"


# --- how each family is made ready ------------------------------------------------------------------------------------


def _adaptive(method, energy, measure, t_end, seed, *, rtol, atol, birth):
    controller = PIController(rtol, atol)

    def build():
        return RungeKutta(method.tableau, controller, energy.make_velocity(measure.m), measure.particles.shape)

    plan = Plan({"rtol": rtol, "atol": atol}, _span(t_end), controller, (EnergyBalance(), Invariants()), build)
    return _with_births(plan, energy, measure, birth)


def _fixed(method, energy, measure, t_end, seed, *, step, monotone, birth=None, scheme=RungeKutta):
    controller = FixedStep(step)
    if not isinstance(monotone, bool):
        raise InvalidInput(f"flow.monotone = {monotone!r}: valid are true or false")

    def build():
        velocity, shape = energy.make_velocity(measure.m), measure.particles.shape
        return scheme(method.tableau, controller, velocity, shape, monotone=monotone)

    settings = {"step": step} | ({"monotone": True} if monotone else {})
    plan = Plan(settings, _span(t_end), controller, (EnergyBalance(), Invariants()), build)
    return _with_births(plan, energy, measure, birth)


def _with_births(plan, energy, measure, table):
    """Return the plan, with births where a table asks for them."""
    if table is None:
        return plan
    if not (isinstance(table, dict) and "every" in table and table.keys() <= {"every", "particles"}):
        raise InvalidInput(f"flow.birth = {table!r}: valid are a table of every, a flow time, and particles")
    births = Births(energy, measure, **table)
    return replace(
        plan,
        settings={**plan.settings, "birth": dict(table)},
        observers=(*plan.observers, births),
        build=lambda: births.along(plan.build(), plan.t_end),
    )


def _mirror(method, energy, measure, t_end, seed, **settings):
    if energy.layout.names != ("r", "x"):
        raise InvalidInput('flow.method = "mirror" needs weighted points (r, x): a pair kernel with energy.metric')
    return _fixed(method, energy, measure, t_end, seed, scheme=MirrorDescent, **settings)


def _langevin(method, energy, measure, t_end, seed, *, step, temperature):
    controller, described = FixedStep(step), temperature
    if isinstance(temperature, dict):
        if unknown := temperature.keys() - {"initial", "law", "time"}:
            raise InvalidInput(f"flow.temperature.{min(unknown)} is unknown; valid: initial, law, time")
        if "initial" not in temperature:
            raise InvalidInput("flow.temperature.initial is missing")
        temperature = Temperature(**temperature)
    elif isinstance(temperature, Temperature):
        described = {"initial": temperature.initial, "law": temperature.law, "time": temperature.time}
    else:
        temperature = Temperature(temperature)

    def build():
        admissible = getattr(getattr(energy, "model", None), "admissible", None)
        return Langevin(controller, temperature, energy.make_velocity(measure.m), seed, admissible)

    settings = {"step": step, "temperature": described}
    return Plan(settings, _span(t_end), controller, (EnergyParts(), FreeEnergy(temperature)), build)


def _optimizer(method, energy, measure, t_end, seed, *, learning_rate, steps, batch_size):
    if not (is_real(learning_rate) and learning_rate > 0 and is_real(2 * learning_rate)):
        raise InvalidInput(f"flow.learning_rate = {learning_rate!r}: valid are finite numbers above 0")
    if not is_integer(steps):
        raise InvalidInput(f"flow.steps = {steps!r}: valid are integers from 1 to 10^15")
    n = energy.data.n if hasattr(energy, "make_batch_velocity") else 0
    if batch_size is not None and not (n and is_integer(batch_size, most=n)):
        valid = f"integers from 1 to the {n} rows of the data" if n else "none, for an energy without data"
        raise InvalidInput(f"flow.batch_size = {batch_size!r}: valid are {valid}")
    controller = FixedStep(2 * learning_rate / measure.m)

    def build():
        batches = ()
        if batch_size is not None:
            batches = Batches(n, batch_size, seed), energy.make_batch_velocity(measure.m, batch_size)
        return {"sgd": SGD, "adam": Adam}[method.name](controller, energy.make_velocity(measure.m), *batches)

    settings = {"learning_rate": learning_rate, "steps": steps}
    settings |= {} if batch_size is None else {"batch_size": batch_size}
    return Plan(settings, steps * controller.step, controller, (EnergyParts(), StepCount()), build)


def _span(t_end):
    if not (is_real(t_end) and t_end > 0):
        raise InvalidInput(f"flow.t_end = {t_end!r}: valid are finite numbers above 0")
    return float(t_end)


def _of_tableau(tableau):
    if tableau.adaptive:
        settings, manner, plan = {"rtol": RTOL, "atol": ATOL}, "chooses its steps by flow.rtol", _adaptive
    else:
        settings, manner, plan = _FIXED, _OF_FIXED_SIZE, _fixed
    return Method(tableau.name, {**settings, "birth": None}, manner, plan, tableau)


_STEP = {"step": _REQUIRED}
_FIXED = {**_STEP, "monotone": False}
_OF_FIXED_SIZE = "takes steps of a fixed size, flow.step"
_LOOP = {"learning_rate": _REQUIRED, "steps": _REQUIRED, "batch_size": None}
_NOISE = "takes noise of flow.temperature in steps of flow.step"
_COUNTED = "takes flow.steps steps of flow.learning_rate"
METHODS = {name: _of_tableau(tableau) for name, tableau in TABLEAUS.items()} | {
    "mirror": Method("mirror", _FIXED, _OF_FIXED_SIZE, _mirror, EULER),
    "langevin": Method("langevin", {**_STEP, "temperature": _REQUIRED}, _NOISE, _langevin),
    "sgd": Method("sgd", _LOOP, _COUNTED, _optimizer),
    "adam": Method("adam", _LOOP, _COUNTED, _optimizer),
}
