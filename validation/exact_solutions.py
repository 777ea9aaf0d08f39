"""Flows whose solution is known in closed form, at a finite number of particles: the solver shown right in digits.

``python -m validation.exact_solutions`` prints the table. All runs use DOPRI5 with rtol = 1e-10; the error is the
largest absolute one. Formulas: docs/mathematics.md.
"""

import numpy as np
from numba import njit

import particleflow as pf

RTOL = 1e-10
A = np.array([[2.0, 0.5], [0.5, 1.0]])
B = np.array([[0.5, 0.2], [0.2, 0.3]])
SHIFT = np.array([1.0, -0.5])
TARGET = np.array([[1.0, 0.3, 0.0], [0.3, -0.5, 0.2], [0.0, 0.2, 0.7]])


def flow(kernel, start, t_end):
    """Return the particles at t_end of the flow of a pair kernel from particles (m, d)."""
    energy = pf.KernelEnergy(kernel, start.shape[1])
    return pf.solve(energy, pf.EmpiricalMeasure(start, energy.layout), t_end, rtol=RTOL, frames=1).measure.particles


def exponential(matrix, t):
    """Return e^{tM} of a symmetric matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.exp(t * values)) @ vectors.T


# --- user kernels: each returns the value and fills the gradient ------------------------------------------------------


@njit(cache=True)
def affine_field(x, parameters, gradient):
    """F = b·x − ½xᵀAx."""
    gradient[:] = SHIFT
    value = 0.0
    for k in range(2):
        for q in range(2):
            gradient[k] -= A[k, q] * x[q]
        value += 0.5 * (SHIFT[k] + gradient[k]) * x[k]
    return value


@njit(cache=True)
def affine_interaction(x, y, parameters, gradient):
    """K = xᵀBy."""
    value = 0.0
    for k in range(2):
        gradient[k] = B[k, 0] * y[0] + B[k, 1] * y[1]
        value += x[k] * gradient[k]
    return value


@njit(cache=True)
def square_field(x, parameters, gradient):
    """F = 2xᵀA*x + c tr(A*)‖x‖², c = parameters[0]: 1 for φ = ⟨θ, x⟩², 0 for φ = ⟨θ, x⟩² − ‖θ‖²."""
    value = 0.0
    trace = parameters[0] * (TARGET[0, 0] + TARGET[1, 1] + TARGET[2, 2])
    for k in range(3):
        gradient[k] = 2 * trace * x[k]
        for q in range(3):
            gradient[k] += 4 * TARGET[k, q] * x[q]
        value += 0.5 * gradient[k] * x[k]
    return value


@njit(cache=True)
def square_interaction(x, y, parameters, gradient):
    """K = 2⟨x, y⟩² + c‖x‖²‖y‖²."""
    xx, yy, xy = 0.0, 0.0, 0.0
    for k in range(3):
        xx += x[k] * x[k]
        yy += y[k] * y[k]
        xy += x[k] * y[k]
    for k in range(3):
        gradient[k] = 4 * xy * y[k] + 2 * parameters[0] * yy * x[k]
    return 2 * xy * xy + parameters[0] * xx * yy


# --- the solutions ----------------------------------------------------------------------------------------------------


def affine():
    """Each particle, any m: X_t = m̄_t + e^{−At}(X_0 − m̄_0), m̄' = b − (A + B)m̄."""
    start, t = np.random.default_rng(0).normal(size=(10, 2)), 1.5
    kernel = pf.PairKernel(affine_field, affine_interaction)
    pf.check_kernel(kernel, 2)
    rest = np.linalg.solve(A + B, SHIFT)
    mean = rest + exponential(A + B, -t) @ (start.mean(axis=0) - rest)
    exact = mean + (start - start.mean(axis=0)) @ exponential(A, -t)
    return flow(kernel, start, t), exact


def quadratic_aggregation():
    """X_t = m̄ + e^{−κt}(X_0 − m̄)."""
    start, t, attraction = np.random.default_rng(1).normal(size=(12, 3)), 2.0, 1.3
    exact = start.mean(axis=0) + np.exp(-attraction * t) * (start - start.mean(axis=0))
    return flow(pf.quadratic_aggregation(attraction), start, t), exact


def linear_network():
    """In the population limit: Z = (a, w), Ż = HZ; balanced growth of one pair of modes, by its own small ODE."""
    model, teacher = pf.TwoLayer("linear"), np.array([[1.0, 0.6, 0.8]])
    energy = pf.PopulationEnergy(model, teacher, regularizer="none")
    # rank one: w along w*, a = ‖w‖ =: ρ, f = ρ²⟨u, x⟩ follows (ρ²)' = 2ρ²(1 − ρ²)
    rho, t = 0.1, 4.0
    start = pf.EmpiricalMeasure(np.tile([rho, rho * 0.6, rho * 0.8], (5, 1)), energy.layout)
    found = pf.solve(energy, start, t, rtol=RTOL, frames=1).measure["a"] ** 2
    return found, np.full(5, 1 / (1 + (1 / rho**2 - 1) * np.exp(-2 * t)))


def square_activation():
    """φ = ⟨θ, x⟩²: ∇G = [4(Q − A*) + 2tr(Q − A*)I]θ, so L = 2‖Q − A*‖² + tr²(Q − A*) and L' = −2 mean‖∇G‖²."""
    start, t = 0.5 * np.random.default_rng(2).normal(size=(9, 3)), 0.5
    particles = flow(pf.PairKernel(square_field, square_interaction, parameters=[1.0]), start, t)
    Q, steps = start.T @ start / 9, 20_000

    def slope(Q):
        M = -(4 * (Q - TARGET) + 2 * np.trace(Q - TARGET) * np.eye(3))
        return M @ Q + Q @ M

    for _ in range(steps):  # the closed equation of Q, by RK4 with tiny steps
        k1 = slope(Q)
        k2 = slope(Q + 0.5 * t / steps * k1)
        k3 = slope(Q + 0.5 * t / steps * k2)
        k4 = slope(Q + t / steps * k3)
        Q = Q + t / steps / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return particles.T @ particles / 9, Q


def centred_square_activation():
    """φ = ⟨θ, x⟩² − ‖θ‖²: Q_t = e^{4A*t} Q_0 [I + A*⁻¹(e^{8A*t} − I) Q_0]⁻¹ e^{4A*t}."""
    start, t = 0.5 * np.random.default_rng(3).normal(size=(9, 3)), 0.5
    particles = flow(pf.PairKernel(square_field, square_interaction, parameters=[0.0]), start, t)
    Q, growth = start.T @ start / 9, exponential(TARGET, 4 * t)
    inner = np.eye(3) + np.linalg.solve(TARGET, exponential(TARGET, 8 * t) - np.eye(3)) @ Q
    return particles.T @ particles / 9, growth @ Q @ np.linalg.solve(inner, growth)


def energy_distance():
    """To U[0, 1]: q_i(t) = s_i + e^{−2t}(q_i(0) − s_i) with s_i = (2i − 1)/2m, sorted."""
    m, t = 20, 1.0
    start = np.sort(np.random.default_rng(4).uniform(0, 1, m))
    rest = (2 * np.arange(1, m + 1) - 1) / (2 * m)
    found = flow(pf.energy_distance_to_uniform(), start[:, None], t)[:, 0]
    return found, rest + np.exp(-2 * t) * (start - rest)


def _second_moment(repulsion, rate, start, t):
    """M2' = repulsion (1 − 1/m) − 2 rate M2."""
    rest = repulsion * (1 - 1 / len(start)) / (2 * rate)
    return rest + np.exp(-2 * rate * t) * (np.mean(np.sum(start**2, axis=1)) - rest)


def newtonian():
    """Second moment of the two-dimensional Coulomb gas."""
    start, t, charge, rate = np.random.default_rng(5).normal(size=(30, 2)), 1.0, 3.0, 0.7
    particles = flow(pf.newtonian(charge, rate), start, t)
    return np.mean(np.sum(particles**2, axis=1)), _second_moment(charge / (2 * np.pi), rate, start, t)


def log_gas():
    """Second moment of the log gas on the line."""
    start, t = np.random.default_rng(6).normal(size=(30, 1)), 1.0
    particles = flow(pf.log_gas(0.8, 0.6), start, t)
    return np.mean(particles**2), _second_moment(0.8, 0.6, start, t)


def riesz():
    """Two particles in space: their distance r obeys (r^{s+2})' = (s + 2)(c − λ r^{s+2})."""
    repulsion, exponent, rate, t = 0.8, 1.5, 0.6, 1.0
    start = np.random.default_rng(7).normal(size=(2, 3))
    particles = flow(pf.riesz(repulsion, exponent, rate), start, t)
    power, rest = np.linalg.norm(start[0] - start[1]) ** (exponent + 2), repulsion / rate
    exact = rest + np.exp(-(exponent + 2) * rate * t) * (power - rest)
    return np.linalg.norm(particles[0] - particles[1]), exact ** (1 / (exponent + 2))


def hermite_equilibrium():
    """Come to rest at √(g/(λm)) times the zeros of H_m (log gas)."""
    m, repulsion, rate = 25, 0.8, 0.6
    particles = flow(pf.log_gas(repulsion, rate), np.linspace(-1, 1, m)[:, None], 60.0)
    zeros = np.polynomial.hermite.hermgauss(m)[0]
    return np.sort(particles[:, 0]), np.sqrt(repulsion / (rate * m)) * zeros


def kuramoto():
    """Poisson-kernel start: r²/(1 − r²) = e^{κt} r_0²/(1 − r_0²), up to r^m."""
    m, coupling, r, t = 400, 1.0, 0.3, 1.5
    u = 2 * np.pi * (np.arange(m) + 0.5) / m - np.pi
    start = 2 * np.arctan((1 - r) / (1 + r) * np.tan(u / 2))
    found = flow(pf.kuramoto(coupling), start[:, None], t)[:, 0]
    odds = np.exp(coupling * t) * r**2 / (1 - r**2)
    return abs(np.exp(1j * found).mean()), np.sqrt(odds / (1 + odds))


SOLUTIONS = {
    "affine": (affine, 1e-8),
    "quadratic aggregation": (quadratic_aggregation, 1e-8),
    "linear network": (linear_network, 1e-8),
    "square activation": (square_activation, 1e-8),
    "square activation, centred (Riccati)": (centred_square_activation, 1e-8),
    "energy distance to U[0, 1]": (energy_distance, 1e-8),
    "two-dimensional Newtonian, second moment": (newtonian, 1e-8),
    "log gas, second moment": (log_gas, 1e-8),
    "log gas, Hermite equilibrium": (hermite_equilibrium, 1e-7),
    "Riesz gas, two particles": (riesz, 1e-8),
    "Kuramoto, order parameter": (kuramoto, 1e-8),
}


def error(name):
    """Return the largest error of one solution."""
    found, exact = SOLUTIONS[name][0]()
    return float(np.max(np.abs(np.asarray(found) - exact)))


def main():
    """Print the table."""
    print("| exact solution | error | bound |\n|---|---|---|")
    for name, (_, bound) in SOLUTIONS.items():
        print(f"| {name} | {error(name):.1e} | {bound:.0e} |", flush=True)


if __name__ == "__main__":
    main()
