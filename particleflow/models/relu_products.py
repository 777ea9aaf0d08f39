"""The two matrix products of a relu network, faster than matrix products.

With z_ij = ⟨w_i, x_j⟩ all that a step needs from the data is f, made of relu(z_ij), and one vector for each neuron,

    v_i = Σ_j r_j 1[z_ij > 0] x_j:

by homogeneity ∇_w = a v and ∇_a = ⟨w, v⟩. The first product is a plain one, done in registers: 8 data by 6 neurons at
a time, of which only the values in a small buffer and the bits of z > 0 remain. The second has a factor that is 0 or 1.
Four data at a time, the 16 sums of subsets of r_j x_j go to a table, and four bits say which of them a neuron adds: a
quarter of the additions, no multiplication (the method of the four Russians: Arlazarov et al. 1970).

Data lie in panels of 8, the last one filled up with zeros; bit q of bits[i, p] belongs to neuron i and datum 8p + q.
"""

import numpy as np
from numba import config

from particleflow.activations import RELU
from particleflow.jit import jit
from particleflow.lanes import add, aligned, load, multiply_add, spread, store, width, zeros
from particleflow.losses import half_derivatives, loss_values
from particleflow.threads import pieces, share

PANEL = 8
# Neurons whose values at a panel are buffered: they and their weights stay in the caches nearest to the processor.
BLOCK = 60
# Panels whose tables are made together: 64 KB of tables, few passes over the sums.
_CHUNK = 16
# What a thread takes at once: 0.1 ms of work, more where so few panels would not be worth reading all neurons, but at
# most 0.1 s, for which a signal may wait.
_PIECE_FLOPS, _PIECE_PANELS, _MOST_FLOPS = 4e6, 16, 4e9
_SHARED_NEURONS = 256, 1024
# Where v is so small (in bytes), threads take some of the data each, with sums of their own, and meet once in a step.
# The last part is shorter by what waking a thread costs: who shares the work then ends last, and need not be woken.
_SMALL_SUMS, _PARTS, _WAKING_FLOPS = 2**19, 4, 4e6
MOST_BITS = 2**30
"""Bytes of bits that are kept: so many that only billions of neurons times data need more."""


def can_multiply(activation):
    """Return whether the products of this room are there for an activation; without a compiler they never are."""
    return activation.code == RELU and not config.DISABLE_JIT


class Panels:
    """Inputs (n, d) laid out for both products.

    Attributes
    ----------
    count : int
        How many panels there are.
    width : int
        d, rounded up to whole panels.
    columns, rows : ndarray, shape (count, d, 8) and (8·count, width)
        The inputs, for the first product and for the second.
    """

    def __init__(self, X):
        n, d = X.shape
        self.count, self.width = -(-n // PANEL), -(-d // PANEL) * PANEL
        self.columns = aligned((self.count, d, PANEL))
        self.rows = aligned((self.count * PANEL, self.width))
        self.fill(X)

    def fill(self, X):
        """Take these inputs from now on."""
        n, d = X.shape
        self.rows[:n, :d] = X
        self.columns[...] = self.rows[:, :d].reshape(self.count, PANEL, d).transpose(0, 2, 1)

    def forward(self, read_out, network, f, bits):
        """Call ``read_out(columns, first, last, *network, f, bits)`` for all panels, some at a time.

        It adds the outputs of the network to f (8·panels,) and fills bits (neurons, panels).
        """
        flops = 2.0 * PANEL * self.columns.shape[1] * len(bits)
        size = max(1, int(min(max(_PIECE_FLOPS / flops, _PIECE_PANELS), _MOST_FLOPS / flops)))
        even = 2 * -(-self.count // (2 * size))  # for two threads to end together
        share(
            lambda first, last: read_out(self.columns, first, last, *network, f, bits),
            pieces(self.count, -(-self.count // even)),
        )

    def active_sums(self, residuals, bits, out):
        """Fill out (neurons, width) with v; columns from d on become zero."""
        wide = self.width // 16 * 16
        columns = [*pieces(wide, 16), *[(wide, self.width)] * (wide < self.width)]
        neurons = pieces(len(out), _SHARED_NEURONS[len(columns) > 3])
        share(
            lambda *piece: add_active(self.rows, residuals, bits, 0, self.count, *piece, out),
            [(column, *some) for some in neurons for column, _ in columns],
        )


def evaluate(read_out, X, neurons, *network):
    """Return the outputs of a network at inputs X (n, d) as `read_out` adds them up, shape (n,)."""
    panels = Panels(X)
    f = aligned(panels.count * PANEL)
    panels.forward(read_out, network, f, np.empty((neurons, panels.count), dtype=np.uint8))
    return f[: len(X)]


class ReluDrift:
    """What a relu network needs from the data for ∇G: the risk, r_j and v_i.

    Parameters
    ----------
    read_out : callable
        The kernel that evaluates the network; see `Panels.forward`.
    data : object
        With inputs X (n, d) and targets y (n,).
    loss : int
        The code of ℓ.
    m, s : int
        Number of particles and of neurons of each.
    fixed : bool
        Whether nobody exchanges the entries of X and y.

    Attributes
    ----------
    residuals : ndarray, shape (n,)
        r_j = ½ℓ'(f_j, y_j) / n.
    sums : ndarray, shape (m·s, d or more)
        v_i.
    bits : ndarray of uint8, shape (m·s or less, panels)
        The signs of z; where there is no room for those of all neurons, of some.
    """

    def __init__(self, read_out, data, loss, m, s=1, *, fixed):
        self.X, self.y, self.loss, self.m, self.fixed = data.X, data.y, loss, m, fixed
        self._read_out, self._panels = read_out, Panels(data.X)
        size = self._panels.count * PANEL
        self._f, self._again, self._residuals = aligned(size), aligned(size), np.zeros(size)
        self.residuals = self._residuals[: len(data.y)]
        self._blocks = pieces(m, max(1, MOST_BITS // (self._panels.count * s)))
        self.bits = np.zeros((self._blocks[0][1] * s, self._panels.count), dtype=np.uint8)
        self._parts = self._cut(m * s)
        self._risks = np.zeros(max(1, len(self._parts)))
        self._sums = aligned((len(self._risks), m * s, self._panels.width))
        self.sums = self._sums[0]

    def add_up(self, *network):
        """Fill residuals and sums and return the risk; `network` are arrays of m or m·s rows.

        The bits of as many particles as there is room for are kept; of those before them they are computed again.
        """
        if not self.fixed:
            self._panels.fill(self.X)
        self._f[:] = 0.0
        if self._parts:
            share(lambda *part: self._do_part(network, *part), self._parts)
            for of_part in self._sums[1:]:
                self.sums += of_part
            return float(self._risks.sum())
        for block in self._blocks:
            bits = self._forward(block, network, self._f)
        risk = self._fill_residuals(0, self._panels.count)
        for first, last in reversed(self._blocks):
            if last < self.m:
                bits = self._forward((first, last), network, self._again)
            self.unmark(first, last, 0, self._panels.count, bits)
            some = slice(first * len(self.sums) // self.m, last * len(self.sums) // self.m)
            self._panels.active_sums(self._residuals, bits, self.sums[some])
        return risk

    def mark(self, network, bits):
        """Fill bits (neurons, panels) with the signs of another network."""
        self._panels.forward(self._read_out, network, self._again, bits)

    def unmark(self, first, last, first_panel, last_panel, bits):
        """Clear bits of some particles in some panels that should not count; here there are none."""

    def _cut(self, neurons):
        """Return the parts of the data, (number, first panel, last panel); none where v or the work is large."""
        count, width = self._panels.count, self._panels.width
        flops = 4.0 * PANEL * count * neurons * width
        if 8 * neurons * width > _SMALL_SUMS or flops > _PARTS * _MOST_FLOPS or len(self._blocks) > 1:
            return []
        parts = min(_PARTS, max(1, int(flops / _PIECE_FLOPS)))
        shorter = int(_WAKING_FLOPS * count / flops)
        return [(number, *piece) for number, piece in enumerate(pieces(count, -(-(count + shorter) // parts)))]

    def _do_part(self, network, number, first, last):
        panels, bits = self._panels, self.bits
        self._read_out(panels.columns, first, last, *network, self._f, bits)
        self._risks[number] = self._fill_residuals(first, last)
        self.unmark(0, self.m, first, last, bits)
        add_all_active(panels.rows, self._residuals, bits, first, last, self._sums[number])

    def _fill_residuals(self, first, last):
        some = slice(PANEL * first, min(PANEL * last, len(self.y)))
        return _fill_residuals(self.loss, self._f[some], self.y[some], self.m, len(self.y), self.residuals[some])

    def _forward(self, block, network, f):
        first, last = block
        some = [array[first * len(array) // self.m : last * len(array) // self.m] for array in network]
        bits = self.bits[: (last - first) * len(self.sums) // self.m]
        self._panels.forward(self._read_out, some, f, bits)
        return bits


@jit
def _fill_residuals(loss, f, y, m, n, residuals):
    """Fill residuals with ½ℓ'_j / n for some of the n data; return their part of the risk."""
    outputs = f / m
    loss_values(loss, outputs, y, residuals)
    risk = 0.0
    for j in range(y.size):
        risk += residuals[j]
    half_derivatives(loss, outputs, y, residuals)
    for j in range(y.size):
        residuals[j] /= n
    return risk / n


@jit
def multiply_panel(columns, p, weights, shift, first, last, z):
    """Fill z[8(i − first)], … with ⟨w_i, x_j⟩ at the data of panel p; w_i is weights[i, shift:], first ≤ i < last."""
    d = columns.shape[1]
    zero = zeros(8)
    i = first
    while i + 6 <= last:
        z0 = z1 = z2 = z3 = z4 = z5 = zero
        for k in range(d):
            x = load(columns, (p * d + k) * PANEL, zero)
            z0 = multiply_add(spread(weights[i, shift + k], zero), x, z0)
            z1 = multiply_add(spread(weights[i + 1, shift + k], zero), x, z1)
            z2 = multiply_add(spread(weights[i + 2, shift + k], zero), x, z2)
            z3 = multiply_add(spread(weights[i + 3, shift + k], zero), x, z3)
            z4 = multiply_add(spread(weights[i + 4, shift + k], zero), x, z4)
            z5 = multiply_add(spread(weights[i + 5, shift + k], zero), x, z5)
        at = (i - first) * PANEL
        store(z0, z, at)
        store(z1, z, at + 8)
        store(z2, z, at + 16)
        store(z3, z, at + 24)
        store(z4, z, at + 32)
        store(z5, z, at + 40)
        i += 6
    while i < last:
        z0 = zero
        for k in range(d):
            z0 = multiply_add(spread(weights[i, shift + k], zero), load(columns, (p * d + k) * PANEL, zero), z0)
        store(z0, z, (i - first) * PANEL)
        i += 1


@jit
def add_all_active(rows, residuals, bits, first, last, out):
    """Fill out with v, summed over the data of the panels first, …, last − 1."""
    for column in range(0, out.shape[1], 16):
        add_active(rows, residuals, bits, first, last, column, 0, out.shape[0], out)


@jit
def add_active(rows, residuals, bits, first, last, column, start, stop, out):
    """Fill 16 columns of out, or the last 8, with v of the neurons start, …, stop − 1; panels as above."""
    if column + 16 <= out.shape[1]:
        _add_active(zeros(16), rows, residuals, bits, first, last, column, start, stop, out)
    else:
        _add_active(zeros(8), rows, residuals, bits, first, last, column, start, stop, out)


@jit
def _add_active(zero, rows, residuals, bits, first, last, column, start, stop, out):
    size = width(zero)
    tables = np.empty(_CHUNK * 32 * size + 8)
    begin = (-tables.ctypes.data % 64) // 8  # as `aligned`
    for i in range(start, stop):
        store(zero, out, i * out.shape[1] + column)
    for panel in range(first, last, _CHUNK):
        count = min(_CHUNK, last - panel)
        for group in range(2 * count):
            fill_table(zero, rows, residuals, 8 * panel + 4 * group, column, tables, begin + 16 * size * group)
        for i in range(start, stop, 2):
            other = min(i + 1, stop - 1)  # two neurons, four sums: none has to wait for its last addition
            at, beside = i * out.shape[1] + column, other * out.shape[1] + column
            low, high = load(out, at, zero), zero
            other_low, other_high = load(out, beside, zero), zero
            for b in range(count):
                byte, other_byte = np.intp(bits[i, panel + b]), np.intp(bits[other, panel + b])
                table = begin + 32 * size * b
                low = add(low, load(tables, table + (byte & 15) * size, zero))
                other_low = add(other_low, load(tables, table + (other_byte & 15) * size, zero))
                high = add(high, load(tables, table + (16 + (byte >> 4)) * size, zero))
                other_high = add(other_high, load(tables, table + (16 + (other_byte >> 4)) * size, zero))
            store(add(low, high), out, at)
            store(add(other_low, other_high), out, beside)


@jit
def fill_table(zero, rows, residuals, j, column, tables, begin):
    """Write the sums of all subsets of r_j x_j, …, r_{j+3} x_{j+3}; bit q of a subset's number is datum j + q."""
    size = width(zero)
    store(zero, tables, begin)
    for q in range(4):
        row = load(rows, (j + q) * rows.shape[1] + column, zero)
        row = multiply_add(row, spread(residuals[j + q], zero), zero)
        for subset in range(1 << q):
            store(add(load(tables, begin + subset * size, zero), row), tables, begin + ((1 << q) + subset) * size)
