"""The steps of networks with two hidden layers in PyTorch: autograd, compiled, by hand, dense and sparse."""

import torch


def three_layer_steps(X, y, a, u, W, step, *, compiled):
    """Return name → (a function that makes one step, a function that returns the particles) for every variant."""
    data, network = (torch.from_numpy(X), torch.from_numpy(y)), (a, u, W)
    variants = {
        "torch autograd": _three_layer_autograd(data, network, step, _multiplied, lambda f: f),
        "torch autograd, einsum": _three_layer_autograd(data, network, step, _einsum, lambda f: f),
        "torch by hand": _three_layer_by_hand(data, network, step),
    }
    if compiled:
        variants["torch compiled autograd"] = _three_layer_autograd(data, network, step, _multiplied, torch.compile)
    return variants


def hard_steps(X, y, a, u, W, supports, step, *, compiled):
    """Return the same for a hard-synchronised network."""
    data, network = (torch.from_numpy(X), torch.from_numpy(y)), (a, u, W)
    supports = torch.from_numpy(supports)
    variants = {
        "torch autograd": _hard_autograd(data, network, supports, step, lambda f: f),
        "torch by hand": _hard_by_hand(data, network, supports, step),
        "torch by hand, sparse": _hard_sparse(data, network, supports, step),
    }
    if compiled:
        variants["torch compiled autograd"] = _hard_autograd(data, network, supports, step, torch.compile)
    return variants


def _copies(network):
    return [torch.from_numpy(block.copy()) for block in network]


def _result(a, u, W):
    return lambda: torch.column_stack([a.detach(), u.detach(), W.detach().reshape(len(a), -1)]).numpy()


def _multiplied(hidden, u):
    return (hidden * u).sum(-1)


def _einsum(hidden, u):
    return torch.einsum("nms,ms->nm", hidden, u)


def _three_layer_autograd(data, network, step, read, wrap):
    (X, y), (m, s) = data, network[1].shape
    a, u, W = (torch.nn.Parameter(block) for block in _copies(network))
    optimizer = torch.optim.SGD([a, u, W], lr=step * m)

    @wrap
    def loss(a, u, W):
        q = read(torch.relu(X @ W.T).view(len(X), m, s), u)
        return ((torch.relu(q) @ a / m - y) ** 2).mean() / 2

    def run():
        optimizer.zero_grad(set_to_none=True)
        loss(a, u, W).backward()
        optimizer.step()

    return run, _result(a, u, W)


def _three_layer_by_hand(data, network, step):
    (X, y), (m, s) = data, network[1].shape
    a, u, W = _copies(network)
    hidden, v = torch.empty((len(X), m * s), dtype=X.dtype), torch.empty_like(W)
    blocks = hidden.view(len(X), m, s)

    def run():
        torch.mm(X, W.T, out=hidden)
        hidden.clamp_min_(0)
        q = torch.einsum("nms,ms->nm", blocks, u)
        r = (torch.relu(q) @ a / m - y) / len(y)
        torch.gt(hidden, 0, out=hidden)
        blocks.mul_((r[:, None] * (q > 0))[:, :, None])
        torch.mm(hidden.T, X, out=v)
        inner = (W * v).sum(1).view(m, s)
        slope = (u * inner).sum(1)
        W.sub_(step * (a[:, None] * u).view(-1, 1) * v)
        u.sub_(step * a[:, None] * inner)
        a.sub_(step * slope)

    return run, _result(a, u, W)


def _dense(u, supports):
    m = len(u)
    return torch.zeros((m, m), dtype=u.dtype).scatter_(1, supports, u)


def _hard_result(a, U, W, supports):
    return lambda: _result(a, torch.gather(U.detach(), 1, supports), W)()


def _hard_autograd(data, network, supports, step, wrap):
    (X, y), m = data, len(supports)
    a, u, W = _copies(network)
    mask = _dense(torch.ones_like(u), supports)
    a, U, W = (torch.nn.Parameter(block) for block in (a, _dense(u, supports), W))
    optimizer = torch.optim.SGD([a, U, W], lr=step * m)

    @wrap
    def loss(a, U, W):
        f = torch.relu(torch.relu(X @ W.T) @ (U * mask).T) @ a / m
        return ((f - y) ** 2).mean() / 2

    def run():
        optimizer.zero_grad(set_to_none=True)
        loss(a, U, W).backward()
        optimizer.step()

    return run, _hard_result(a, U, W, supports)


def _hard_by_hand(data, network, supports, step):
    (X, y), m = data, len(supports)
    a, u, W = _copies(network)
    mask, U = _dense(torch.ones_like(u), supports), _dense(u, supports)

    def run():
        h = torch.mm(X, W.T).clamp_min_(0)
        z = torch.mm(h, U.T).clamp_min_(0)
        r = (z @ a / m - y) / len(y)
        slope = z.T @ r
        second = torch.gt(z, 0, out=torch.empty_like(z)).mul_(r[:, None]).mul_(a[None, :])
        grad_U = torch.mm(second.T, h).mul_(mask)
        first = torch.mm(second, U).mul_(h > 0)
        W.sub_(step * torch.mm(first.T, X))
        U.sub_(step * grad_U)
        a.sub_(step * slope)

    return run, _hard_result(a, U, W, supports)


def _hard_sparse(data, network, supports, step):
    (X, y), (m, s) = data, supports.shape
    a, u, W = _copies(network)
    rows, columns = torch.arange(0, m * s + 1, s), X.T.contiguous()

    def run():
        h = torch.mm(W, columns).clamp_min_(0)
        U = torch.sparse_csr_tensor(rows, supports.reshape(-1), u.reshape(-1), (m, m))
        z = (U @ h).clamp_min_(0)
        r = (z.T @ a / m - y) / len(y)
        slope = z @ r
        second = (z > 0) * r[None, :] * a[:, None]
        grad_u = torch.stack([(second * h[supports[:, k]]).sum(1) for k in range(s)], 1)
        first = (U.t().to_sparse_csr() @ second) * (h > 0)
        W.sub_(step * (first @ X))
        u.sub_(step * grad_u)
        a.sub_(step * slope)

    return run, _result(a, u, W)
