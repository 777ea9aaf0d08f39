"""Polishing: from the particles of a flow on to the global minimum, by no flow.

A flow moves particles, and near the end slowly. Polishing takes them as atoms: those of one sign whose directions lie
in one arc of the circle become one, and from these the fully corrective conditional gradient of
`particleflow.reference` goes on, which adds atoms where the dual asks for them. It ends at the global minimum from any
measure, since the problem is convex; a good measure saves iterations. The proof is the certificate of what comes out,
by other code than that which found it. What comes out is a network, and no longer a point of the flow.
"""

from dataclasses import dataclass, replace

import numpy as np

from particleflow.certificate import Certificate, certify, check_scope, stored_energy
from particleflow.measure import EmpiricalMeasure
from particleflow.reference.conditional_gradient import global_minimum


@dataclass(frozen=True)
class Polished:
    """A global minimum that was reached from a measure, and the certificates of both.

    Attributes
    ----------
    measure : EmpiricalMeasure
        One balanced particle (a, w), |a| = ‖w‖, for each atom. It is not on the flow.
    certificate : Certificate
        Of `measure`.
    start : Certificate
        Of the measure that was polished.
    atoms : int
        Their number; 0 if the least energy is that of f = 0, when `measure` is a particle at 0.
    iterations : int
        How often atoms were added.
    seconds : float
        Wall time of the polishing, without the certificates.
    """

    measure: EmpiricalMeasure
    certificate: Certificate
    start: Certificate
    atoms: int
    iterations: int
    seconds: float

    def to_dict(self):
        """Return what ``particleflow certify --polish --json`` prints: the certificate of the start, and "polished"."""
        found = {"atoms": self.atoms, "iterations": self.iterations, "polish_seconds": self.seconds}
        return {**self.start.to_dict(), "polished": {**self.certificate.to_dict(), **found}}

    def to_text(self):
        """Return what ``particleflow certify --polish`` prints."""
        after = self.certificate
        return (
            f"{self.start.to_text()}\n\n"
            f"polished, no longer the flow: {self.atoms} atoms, {self.iterations} iterations, {self.seconds:.2g} s\n"
            f"{after.to_text()}"
        )


def polish(energy, measure):
    """Go on from a measure to the global minimum of the energy, by a fully corrective conditional gradient.

    Parameters
    ----------
    energy : EmpiricalEnergy
        Of a two-layer relu network in d ≤ 2 (a bias counts as a feature), under the path norm with λ > 0; any loss.
    measure : EmpiricalMeasure
        Where to start; any: trained or not, of one sign, from a few directions.

    Returns
    -------
    Polished
        With a certified relative gap of 1e-8 or less. Where rounding keeps it larger, a warning says so.

    Raises
    ------
    InvalidInput
        If the energy is another, or the measure does not fit it.

    References
    ----------
    Jaggi 2013, *Revisiting Frank–Wolfe*; Bach 2017, *Breaking the curse of dimensionality with convex neural networks*.

    Examples
    --------
    >>> import particleflow as pf
    >>> energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), ([[-1.0], [1.0]], [1.0, 1.0]), strength=0.1)
    >>> polished = pf.polish(energy, pf.one_signed(10, 1, rng=0))
    >>> polished.atoms, polished.certificate.relative_gap <= 1e-8
    (2, True)
    """
    check_scope(energy, measure)
    a, w = measure["a"], measure["w"]
    with np.errstate(over="ignore"):  # what is not finite is refused by its name
        atoms = w, a * np.linalg.norm(w, axis=1) / measure.m
    optimum = global_minimum(
        energy.data, strength=energy.strength, loss=energy.loss, activation=energy.model.activation, start=atoms
    )
    return Polished(
        measure=optimum.network(),
        certificate=certify(energy, optimum.network()),
        start=certify(energy, measure),
        atoms=len(optimum.masses),
        iterations=optimum.iterations,
        seconds=optimum.seconds,
    )


def polish_frame(trajectory, frame=-1):
    """Polish a frame of a stored flow, with the model, data and energy of the file.

    Parameters
    ----------
    trajectory : Trajectory
        An open file.
    frame : int
        Which frame; negative numbers count from the end.

    Returns
    -------
    Polished

    Raises
    ------
    InvalidInput
        If the file does not hold its data, there is no such frame, or its energy cannot be polished.
    """
    measure = trajectory.particles(frame)
    polished = polish(stored_energy(trajectory), measure)
    return replace(polished, start=replace(polished.start, time=float(trajectory.time[frame])))
