"""All rows, in the order in which they are printed."""

from validation.benchmarks import two_layer

ROWS = two_layer.ROWS
