"""The step of a two-layer relu network in PyTorch: autograd, compiled, and with the gradient written by hand."""

import torch


def torch_steps(X, y, particles, penalty, step, *, compiled):
    """Return name → (a function that makes one step, a function that returns the particles) for every variant."""
    torch.set_num_threads(torch.get_num_threads())
    data = torch.from_numpy(X), torch.from_numpy(y)
    variants = {
        "torch autograd": _autograd(data, particles, penalty, step, lambda f: f),
        "torch by hand": _by_hand(data, particles, penalty, step),
        "torch by hand, transposed": _transposed(data, particles, penalty, step),
    }
    if compiled:
        variants["torch compiled autograd"] = _autograd(data, particles, penalty, step, torch.compile)
        variants["torch compiled by hand"] = _functional(data, particles, penalty, step, torch.compile)
    return variants


def _copies(particles):
    theta = torch.from_numpy(particles.copy())
    return theta[:, 0].clone(), theta[:, 1:].clone()


def _result(a, w):
    return lambda: torch.column_stack([a.detach(), w.detach()]).numpy()


def _autograd(data, particles, penalty, step, wrap):
    (X, y), m = data, len(particles)
    a, w = (torch.nn.Parameter(block) for block in _copies(particles))
    optimizer = torch.optim.SGD([a, w], lr=step * m)

    @wrap
    def loss(a, w):
        f = torch.relu(X @ w.T) @ a / m
        return ((f - y) ** 2).mean() / 2 + penalty * (a.abs() * w.norm(dim=1)).mean()

    def run():
        optimizer.zero_grad(set_to_none=True)
        loss(a, w).backward()
        optimizer.step()

    return run, _result(a, w)


def _by_hand(data, particles, penalty, step):
    (X, y), m = data, len(particles)
    a, w = _copies(particles)
    z, v = torch.empty((len(X), m), dtype=X.dtype), torch.empty_like(w)
    mask = torch.empty_like(z)

    def run():
        torch.mm(X, w.T, out=z)
        z.clamp_min_(0)
        r = (torch.mv(z, a) / m - y) / len(y)
        torch.gt(z, 0, out=mask)
        mask.mul_(r[:, None])
        torch.mm(mask.T, X, out=v)
        _update(a, w, v, penalty, step)

    return run, _result(a, w)


def _transposed(data, particles, penalty, step):
    (X, y), m = data, len(particles)
    a, w = _copies(particles)
    z, v, columns = torch.empty((m, len(X)), dtype=X.dtype), torch.empty_like(w), X.T.contiguous()
    mask = torch.empty_like(z)

    def run():
        torch.mm(w, columns, out=z)
        z.clamp_min_(0)
        r = (torch.mv(z.T, a) / m - y) / len(y)
        torch.gt(z, 0, out=mask)
        mask.mul_(r[None, :])
        torch.mm(mask, X, out=v)
        _update(a, w, v, penalty, step)

    return run, _result(a, w)


def _update(a, w, v, penalty, step):
    norms = w.norm(dim=1)
    slope = (w * v).sum(1) + penalty * a.sign() * norms
    w.sub_(step * (a[:, None] * v + (penalty * a.abs() / norms)[:, None] * w))
    a.sub_(step * slope)


def _functional(data, particles, penalty, step, wrap):
    (X, y), m = data, len(particles)

    @wrap
    def moved(a, w):
        z = torch.mm(X, w.T)
        r = (torch.mv(torch.relu(z), a) / m - y) / len(y)
        v = torch.mm(torch.where(z > 0, r[:, None], 0).T, X)
        norms = w.norm(dim=1)
        slope = (w * v).sum(1) + penalty * a.sign() * norms
        return a - step * slope, w - step * (a[:, None] * v + (penalty * a.abs() / norms)[:, None] * w)

    state = list(_copies(particles))

    def run():
        state[:] = moved(*state)

    return run, lambda: torch.column_stack(state).numpy()
