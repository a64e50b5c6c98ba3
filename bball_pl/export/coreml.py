"""Core ML files, by one of three routes, and compressed copies of them."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, get_args

import coremltools as ct
import numpy as np
from sklearn.cluster import KMeans

from bball_pl.errors import ConfigError
from bball_pl.export.conversion import in_one_line, mend_coremltools
from bball_pl.export.conversion_speed import libraries_are_no_garbage, weights_at_the_end
from bball_pl.export.metadata import About, Interface
from bball_pl.export.onnx import DeployModel
from bball_pl.export.options import Compression, Compute, Route, Target
from bball_pl.verify.executors.mil_program import read_program
from bball_pl.verify.model_file import read_spec, weights_folder
from bball_pl.verify.runners import quietly

Form = Literal["mlprogram", "neuralnetwork"]

_NEURAL_NETWORK_TARGETS = ("iOS13", "iOS14")


def write_coreml(
    model: DeployModel,
    path: Path,
    interface: Interface,
    about: About,
    form: Form = "mlprogram",
    target: Target = "iOS16",
    route: Route = "trace",
    compute: Compute = "fp16",
    onnx_file: Path | None = None,
) -> Path:
    """Write an ML Program (`.mlpackage`) or a NeuralNetwork (`.mlmodel`).

    Args:
        model: in evaluation mode.
        path: ends in .mlpackage or .mlmodel; it must not exist.
        interface: names of the features, and the labels.
        about: the facts.
        form: which of the two.
        target: oldest system that should take it: iOS13 or iOS14 for a NeuralNetwork, iOS15 or newer for a Program.
        route: trace (torch.jit.trace), export (torch.export) or onnx (from `onnx_file`, through onnx2coreml).
        compute: precision of weights and arithmetic of a Program; a NeuralNetwork keeps fp32 weights.
        onnx_file: what `write_onnx` wrote; only for the route onnx.

    Returns:
        `path`.

    Raises:
        ConfigError: if form and target do not go together, the route's package is not installed, or the converter
            cannot express the network; the message names the op.
    """
    if target not in get_args(Target) or (form == "neuralnetwork") != (target in _NEURAL_NETWORK_TARGETS):
        wanted = "iOS13 or iOS14" if form == "neuralnetwork" else "iOS15, iOS16, iOS17, iOS18 or iOS26"
        raise ConfigError(f"target {target} does not take a {form}; expected {wanted}")
    options: dict[str, Any] = {"convert_to": form}
    if form == "mlprogram":
        options["compute_precision"] = ct.precision.FLOAT16 if compute == "fp16" else ct.precision.FLOAT32
    with _in_one_line(model, form, route), quietly():
        with weights_at_the_end() as store_weights:
            converted = _converted(model, interface, target, route, onnx_file, **options)
        finish(converted, path, interface, about, store_weights)
    return path


def check_coreml(model: DeployModel, interface: Interface, form: Form, target: Target, route: Route) -> None:
    """Let coremltools read every op of the network, and write nothing: a part of the time of a conversion.

    The route onnx is not checked: it starts from a file.

    Raises:
        ConfigError: if the converter cannot read an op; the message names it.
    """
    if route != "onnx":
        with _in_one_line(model, form, route), quietly():
            _converted(
                model, interface, target, route, None, convert_to="milinternal", pass_pipeline=ct.PassPipeline.EMPTY
            )


_FORM_NAMES = {"mlprogram": "an ML Program", "neuralnetwork": "a NeuralNetwork"}
_FORMATS = {"mlprogram": "mlpackage", "neuralnetwork": "mlmodel"}


def _in_one_line(model: DeployModel, form: Form, route: Route) -> AbstractContextManager[None]:
    others = " or ".join(other for other in get_args(Route) if other != route)
    advice = f"leave {_FORMATS[form]} out of --formats, try --route {others}, or fit another --model.backbone"
    return in_one_line(f"{_FORM_NAMES[form]} by the route {route}", model.backbone, advice)


def _converted(
    model: DeployModel, interface: Interface, target: Target, route: Route, onnx_file: Path | None, **options: Any
) -> Any:
    mend_coremltools()
    oldest = getattr(ct.target, target)
    source = _source(model, route, oldest, onnx_file)
    with libraries_are_no_garbage():
        return ct.convert(
            source,
            inputs=[ct.ImageType(interface.image, shape=model.example.shape, color_layout=ct.colorlayout.RGB)],
            # Conversion to a NeuralNetwork changes the configuration that it is given: a new one each time.
            classifier_config=ct.ClassifierConfig(interface.labels, predicted_feature_name=interface.label),
            minimum_deployment_target=oldest,
            skip_model_load=True,
            **options,
        )


def finish(
    converted: Any,
    path: Path,
    interface: Interface,
    about: About,
    store_weights: Callable[[Any], None] = lambda network: None,
) -> None:
    """Give a converted model its names and facts, and save it such that the same model gives the same bytes.

    Args:
        converted: a `coremltools.models.MLModel`.
        path: ends in .mlpackage or .mlmodel.
        interface: names of the features.
        about: the facts.
        store_weights: stores the weights that a NeuralNetwork was converted without.
    """
    spec = converted.get_spec()
    old = spec.description.predictedProbabilitiesName
    if old != interface.probabilities:
        ct.utils.rename_feature(spec, old, interface.probabilities)
    metadata = spec.description.metadata
    metadata.author, metadata.license = about.author, about.licence
    metadata.shortDescription, metadata.versionString = about.description, about.user_defined()["bball_pl.version"]
    # The date of conversion and the tools' versions stay out: what counts is when and from what it was trained.
    metadata.userDefined.clear()
    metadata.userDefined.update(about.user_defined())
    metadata.userDefined["com.apple.coreml.model.preview.type"] = "imageClassifier"
    texts = {
        interface.image: f"A photo, RGB, {about.spec.size} × {about.spec.size}; fit policy {about.spec.fit}",
        interface.label: "The most probable move",
        interface.probabilities: "Probability of each move, 0–1",
    }
    for feature in [*spec.description.input, *spec.description.output]:
        feature.shortDescription = texts[feature.name]
    inner = path
    if path.suffix == ".mlpackage":
        ct.models.MLModel(spec, weights_dir=converted.weights_dir, skip_model_load=True).save(str(path))
        _steady_manifest(path / "Manifest.json")
        inner = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    else:
        store_weights(spec.neuralNetworkClassifier)
    # Maps come in any order otherwise, and coremltools makes the file readable for its owner alone.
    inner.write_bytes(spec.SerializeToString(deterministic=True))
    inner.chmod(0o644)


def _source(model: DeployModel, route: Route, target: Any, onnx_file: Path | None) -> Any:
    if route != "onnx":
        return model.graph(route)
    if onnx_file is None:
        raise ConfigError("the route onnx needs an ONNX file; export that format as well")
    return _from_onnx(onnx_file, target)


def _from_onnx(path: Path, target: Any) -> Any:
    try:
        from onnx2coreml import Converter
    except ImportError as error:
        raise ConfigError("--route onnx needs a package: pip install 'bball_pl[onnx2coreml]'") from error
    import onnx
    import onnxscript.optimizer

    proto = onnx.load(path)
    # A phone classifies one photo; with the batch known the arithmetic on shapes folds away, which Core ML has no
    # words for.
    for value in [*proto.graph.input, *proto.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    del proto.graph.value_info[:]
    # The classifier's output takes the name of the ONNX output: two values of one program must not share it. Attention
    # has values called softmax as well.
    old, new = proto.graph.output[0].name, "softmax_of_logits"
    for node in proto.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
    proto.graph.output[0].name = new
    return Converter().to_mil(onnxscript.optimizer.optimize(proto), target=target)


def _steady_manifest(path: Path) -> None:
    """Replace the random identifiers of a package's manifest by ones that follow from what they stand for."""
    manifest = json.loads(path.read_text(encoding="utf-8"))
    entries = manifest["itemInfoEntries"]
    names = {old: str(uuid.uuid5(uuid.NAMESPACE_URL, entry["path"])).upper() for old, entry in entries.items()}
    manifest["itemInfoEntries"] = {names[old]: entry for old, entry in entries.items()}
    manifest["rootModelIdentifier"] = names[manifest["rootModelIdentifier"]]
    # In the order in which coremltools rewrites it when it opens the package: opening must not change a byte.
    path.write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n", encoding="utf-8")


def remove_file_or_package(path: Path) -> None:
    """Remove a `.mlmodel`, or a `.mlpackage` with everything in it; do nothing if it does not exist."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
