"""The drift of a relu network in the population limit, in PyTorch: autograd, by hand, and that compiled."""

import math

import torch


def torch_drifts(theta, teacher, *, compiled):
    """Return name → (a function that computes the drift, a function that returns the last one) for every variant."""
    a, w, masses, v = (torch.from_numpy(block.copy()) for block in (*_split(theta), *_split(teacher)))
    problem = a, w, masses / len(v), v
    variants = {"torch autograd": _autograd(*problem), "torch by hand": _drift(*problem, _by_hand)}
    if compiled:
        variants["torch compiled by hand"] = _drift(*problem, torch.compile(_functional, dynamic=False))
    return variants


def _split(theta):
    return theta[:, 0], theta[:, 1:]


def _kept(compute):
    """Return a function that computes (∂a, ∂w), and one that returns the last ones as an array (m, 1 + d)."""
    last = []

    def run():
        last[:] = compute()

    return run, lambda: torch.column_stack(last).detach().numpy()


def _autograd(a, w, masses, v):
    a, w = a.clone().requires_grad_(), w.clone().requires_grad_()

    def kernels(w, v):
        sizes, others = w.norm(dim=1), v.norm(dim=1)
        # where the cosine is ±1 the slope of acos is infinite: the usual way round is to stay away from there
        cosines = ((w / sizes[:, None]) @ (v / others[:, None]).T).clamp(-1 + 1e-12, 1 - 1e-12)
        t = torch.acos(cosines)
        return sizes[:, None] * others * (torch.sin(t) + (math.pi - t) * cosines) / (2 * math.pi)

    def compute():
        own = (a[:, None] * a * kernels(w, w)).sum() / (2 * len(a))
        energy = own - (a[:, None] * masses * kernels(w, v)).sum()
        return [-slope for slope in torch.autograd.grad(energy, (a, w))]

    return _kept(compute)


def _drift(a, w, masses, v, pull):
    def compute():
        total = pull(w, w, a / len(a)) - pull(w, v, masses)
        return [-(w * total).sum(1), -a[:, None] * total]

    return _kept(compute)


def _by_hand(w, v, weights):
    sizes, others = w.norm(dim=1), v.norm(dim=1)
    units, sources, b = w / sizes[:, None], v / others[:, None], weights * others / (2 * math.pi)
    cosines = (units @ sources.T).clamp_(-1, 1)
    t = torch.acos(cosines)
    sines = cosines.mul_(cosines).neg_().add_(1).sqrt_()
    return t.neg_().add_(math.pi) @ (b[:, None] * sources) + (sines @ b)[:, None] * units


def _functional(w, v, weights):
    sizes, others = w.norm(dim=1), v.norm(dim=1)
    units, sources, b = w / sizes[:, None], v / others[:, None], weights * others / (2 * math.pi)
    cosines = (units @ sources.T).clamp(-1, 1)
    sines = torch.sqrt(1 - cosines * cosines)
    return (math.pi - torch.acos(cosines)) @ (b[:, None] * sources) + (sines @ b)[:, None] * units
