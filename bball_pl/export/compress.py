"""Smaller weights for a Core ML program, without photos and without a Mac."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
from sklearn.cluster import KMeans

from bball_pl.export.coreml import finish
from bball_pl.export.metadata import About, Interface
from bball_pl.export.options import Compression
from bball_pl.verify.mil_program import read_program
from bball_pl.verify.model_file import read_spec, weights_folder
from bball_pl.verify.runners import quietly

#: Steps of the histogram that a palette is fitted to: finer than fp16 weights of a layer differ.
_BINS = 4096
#: Tensors with fewer weights stay as they are: norms and biases save nothing and cost accuracy.
_SMALL = 2048


def write_compressed(program: Path, path: Path, compression: Compression, interface: Interface, about: About) -> Path:
    """Write a copy of an ML Program with compressed weights.

    `int8` keeps 8 bits a weight with a scale per output channel; `paletteN` replaces weights by N-bit indices into a
    table per layer, whose 2**N values are fitted to them. The last layer keeps its weights: they are a few kilobytes,
    and of very different sizes, so that rounding them by the largest loses the others.

    Args:
        program: a `.mlpackage` with fp16 weights, for iOS16 or newer.
        path: of the copy; it must not exist.
        compression: how.
        interface: names of the features.
        about: the facts.

    Returns:
        `path`.
    """
    import coremltools.optimize.coreml as cto

    config: Any
    with quietly():
        model = ct.models.MLModel(read_spec(program), weights_dir=str(weights_folder(program)), skip_model_load=True)
        spared = {_head(program): None}
        if compression == "int8":
            config = cto.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8", weight_threshold=_SMALL)
            smaller = cto.linear_quantize_weights(model, cto.OptimizationConfig(config, op_name_configs=spared))
        else:
            bits = int(compression.removeprefix("palette"))
            config = cto.OpPalettizerConfig(
                mode="custom", lut_function=lambda weights: palette(weights, bits), weight_threshold=_SMALL
            )
            smaller = cto.palettize_weights(model, cto.OptimizationConfig(config, op_name_configs=spared))
        finish(smaller, path, interface, about)
    return path


def _head(program: Path) -> str:
    """Return the name of the layer that makes the logits: the last one with weights."""
    layers = [layer.name for layer in read_program(program).operations if layer.op_type in {"linear", "conv", "matmul"}]
    return str(layers[-1])


def palette(weights: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Fit 2**bits values to weights with a small mean squared error, and assign each weight the nearest of them.

    coremltools' k-means needs an old scikit-learn, and takes minutes. Weights are one-dimensional: k-means on
    their histogram is the same problem, thousands of times smaller.

    Args:
        weights: float, of any shape.
        bits: 1 to 8.

    Returns:
        (table, indices): the values, rising, float `[2**bits]`, and uint8 in the order of the flattened weights.
    """
    flat = weights.astype(np.float64).ravel()
    number = 2**bits
    values = np.unique(flat)
    counts, edges = np.histogram(flat, bins=_BINS)
    filled = counts > 0
    centres = ((edges[:-1] + edges[1:]) / 2)[filled]
    if len(values) <= number or len(centres) <= number:
        exact = values if len(values) <= number else centres
        table = np.append(exact, np.repeat(exact[-1], number - len(exact)))
    else:
        # Both starts are deterministic: quantiles are near where most weights are, and equally spaced values bound the
        # error, because k-means only lowers it. The better result is taken.
        quantiles = np.unique(np.quantile(flat, (np.arange(number) + 0.5) / number))
        quantiles = np.append(quantiles, np.linspace(flat.min(), flat.max(), number - len(quantiles)))
        spaced = np.linspace(flat.min(), flat.max(), 2 * number + 1)[1::2]
        fits = [
            KMeans(number, init=np.sort(start)[:, None], n_init=1, max_iter=100).fit(
                centres[:, None], sample_weight=counts[filled]
            )
            for start in (quantiles, spaced)
        ]
        table = np.sort(min(fits, key=lambda fit: float(fit.inertia_)).cluster_centers_[:, 0])
    table = table.astype(weights.dtype)
    borders = (table[1:].astype(np.float64) + table[:-1].astype(np.float64)) / 2
    indices = np.searchsorted(borders, flat).astype(np.uint8)
    return table, indices
