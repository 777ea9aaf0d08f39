"""The trainings of the numerical study in PyTorch: autograd, Adam, and matchings by SciPy for the soft model."""

from itertools import combinations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment


class Training:
    """The training of one model, from the same particles every time it is called."""

    def __init__(self, energy, start, rate, *, compiled):
        self.X, self.y = torch.from_numpy(energy.data.X), torch.from_numpy(energy.data.y)
        self.blocks = [torch.from_numpy(start[name].copy()) for name, _ in start.layout.blocks]
        self.rate, self.strength = rate, energy.strength
        kind = energy.model.kind
        self.supports = torch.from_numpy(energy.model.supports.copy()) if kind == "hard-synchronized" else None
        loss = {"two-layer": self.two_layer, "three-layer": self.three_layer, "hard-synchronized": self.hard}[kind]
        self.loss = torch.compile(loss) if compiled else loss
        self.gamma = 0.0 if energy.synchronization is None else energy.synchronization.strength

    def __call__(self, iterations):
        """Train; return the particles (m, p)."""
        parameters = [torch.nn.Parameter(block.clone()) for block in self.blocks]
        optimizer = torch.optim.Adam(parameters, lr=self.rate)
        for _ in range(iterations):
            optimizer.zero_grad(set_to_none=True)
            loss = self.loss(*parameters)
            if self.gamma:
                loss = loss + self.gamma * rows_apart(parameters[2])
            loss.backward()
            optimizer.step()
        a, *rest = (parameter.detach() for parameter in parameters)
        return torch.column_stack([a, *(block.reshape(len(a), -1) for block in rest)]).numpy()

    def two_layer(self, a, w):
        """Return the loss of a two-layer network."""
        f = torch.relu(self.X @ w.T) @ a / len(a)
        return ((f - self.y) ** 2).mean() + self.strength * (a.abs() * (w**2).sum(1)).mean()

    def three_layer(self, a, u, W):
        """Return the loss of a three-layer network."""
        m, s = u.shape
        q = (torch.relu(self.X @ W.reshape(m * s, -1).T).view(len(self.X), m, s) * u).sum(-1)
        f = torch.relu(q) @ a / m
        return ((f - self.y) ** 2).mean() + self.strength * (a.abs() * ((u**2).sum(1) + (W**2).sum((1, 2)))).mean()

    def hard(self, a, u, W):
        """Return the loss of a hard-synchronised network."""
        m, read = len(a), self.supports.clamp_min(0)
        there = (self.supports >= 0).to(u.dtype)
        U = torch.zeros((m, m), dtype=u.dtype).scatter_add(1, read, u * there)
        f = torch.relu(torch.relu(self.X @ W.T) @ U.T) @ a / m
        squares = ((u**2 + (W**2).sum(1)[read]) * there).sum(1)
        return ((f - self.y) ** 2).mean() + self.strength * (a.abs() * squares).mean()


def rows_apart(W):
    """Return Σ_{k<l} W2²(μ^k, μ^l) of W (m, s, d), differentiable with the matchings held fixed."""
    total = 0.0
    for k, other in combinations(range(W.shape[1]), 2):
        with torch.no_grad():
            costs = torch.cdist(W[:, k], W[:, other]).square_().numpy()
            target = torch.from_numpy(np.ascontiguousarray(linear_sum_assignment(costs)[1]))
        total = total + ((W[:, k] - W[target, other]) ** 2).sum() / len(W)
    return total
