"""Steps of coremltools' conversions that take most of their time and change nothing, left out or done at once."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import numpy as np


def speed_up_coremltools() -> None:
    """Make conversions by coremltools 9.0 quicker in this process; the files stay the same, byte for byte.

    Other versions are left as they are: all this hangs on parts of coremltools that may change.
    """
    import coremltools

    if not coremltools.__version__.startswith("9.0"):
        return
    _check_programs_once()
    _follow_only_compressed_weights()
    _store_weights_at_once()


@contextmanager
def libraries_are_no_garbage() -> Iterator[None]:
    """Let no search for garbage within the body look at what is there before it.

    coremltools searches in the middle of each conversion, among more than half a million objects of libraries: 0.4 to
    0.6 s. Somebody who has frozen objects of a program by `gc.freeze` finds them as they were.
    """
    own = not gc.get_freeze_count()
    if own:
        gc.freeze()
    try:
        yield
    finally:
        if own:
            gc.unfreeze()


def _check_programs_once() -> None:
    from coremltools.converters.mil.mil import Program
    from coremltools.converters.mil.mil.passes.pass_pipeline import PassPipelineManager

    apply, validate, written = PassPipelineManager.apply_pipeline, Program.validate, Program.__str__

    def apply_pipeline(program: Any, pipeline: Any) -> None:
        Program.validate = lambda *_, **__: None
        # The whole program is written out for two lines of a log that nobody keeps.
        Program.__str__ = object.__repr__
        try:
            apply(program, pipeline)
        finally:
            Program.validate, Program.__str__ = validate, written
        program.validate()

    PassPipelineManager.apply_pipeline = staticmethod(apply_pipeline)


def _follow_only_compressed_weights() -> None:
    """Leave out the search for what depends on compressed weights where there are none.

    It goes through the whole program after each pass: a sixth of a conversion.
    """
    from coremltools.converters.mil.mil import Block

    follow = Block._propagate_nonreplaceable_vars

    def has_compressed(block: Any) -> bool:
        for operation in block.operations:
            if operation.op_type.startswith("constexpr_"):
                return True
            for output in operation.outputs or ():
                if output.nonreplaceable_vars_upstream:
                    return True
            for inner in operation.blocks:
                if has_compressed(inner):
                    return True
        return False

    def follow_if_any(self: Any) -> None:
        if has_compressed(self):
            follow(self)

    Block._propagate_nonreplaceable_vars = follow_if_any


def _store_weights_at_once() -> None:
    """Hand the weights of a NeuralNetwork's layers to protobuf as one block of bytes instead of number by number.

    The 22 million of an inception_v3 took most of the time of its conversion.
    """
    from coremltools.models.neural_network import NeuralNetworkBuilder

    for method, layer in (("add_convolution", "convolution"), ("add_inner_product", "innerProduct")):
        setattr(NeuralNetworkBuilder, method, _storing_at_once(getattr(NeuralNetworkBuilder, method), layer))


def _storing_at_once(add: Callable[..., Any], layer: str) -> Callable[..., Any]:
    signature = inspect.signature(add)

    @wraps(add)
    def added(*arguments: Any, **named: Any) -> Any:
        bound = signature.bind(*arguments, **named)
        weight = bound.arguments.get("W")
        if type(weight) is not np.ndarray or weight.dtype.kind != "f":
            return add(*arguments, **named)
        bound.arguments["W"] = held = weight.view(_Held)
        taken: list[np.ndarray] = []
        held.taken = taken
        answer = add(*bound.args, **bound.kwargs)
        for values in taken:
            if _LATER:
                _LATER[-1][bound.arguments["name"], layer] = values
            else:
                _store(getattr(bound.arguments["self"].nn_spec.layers[-1], layer).weights, values)
        return answer

    return added


#: For each conversion that is under way and stores its weights at its end: the weights by name and kind of their layer.
_LATER: list[dict[tuple[str, str], np.ndarray]] = []


@contextmanager
def weights_at_the_end() -> Iterator[Callable[[Any], None]]:
    """Leave the weights out of a NeuralNetwork that is converted within the body: they are copied from step to step.

    Yields:
        A function that stores them in the converted network, a `NeuralNetwork_pb2.NeuralNetworkClassifier`.
    """
    kept: dict[tuple[str, str], np.ndarray] = {}

    def store(network: Any) -> None:
        for layer in network.layers:
            kind = layer.WhichOneof("layer")
            if (layer.name, kind) in kept:
                _store(getattr(layer, kind).weights, kept[layer.name, kind])

    _LATER.append(kept)
    try:
        yield store
    finally:
        _LATER.pop()


class _Held(np.ndarray):
    """Weights that note what they are when they are laid out flat, and hand out nothing."""

    taken: list[np.ndarray]

    def __array_finalize__(self, source: Any) -> None:
        self.taken = getattr(source, "taken", [])

    def flatten(self, order: Any = "C") -> np.ndarray:
        self.taken.append(np.asarray(self).flatten(order))
        return np.empty(0, np.float32)


def _store(weights: Any, values: np.ndarray) -> None:
    """Store numbers in a message `WeightParams`."""
    weights.MergeFromString(_packed(weights.DESCRIPTOR.fields_by_name["floatValue"].number, values))


def _packed(number: int, values: np.ndarray) -> bytes:
    """Return a packed field of floats as protobuf writes it: key, length in bytes, numbers."""
    content = values.astype("<f4").tobytes()
    key, length, rest = bytes([number << 3 | 2]), bytearray(), len(content)
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    return key + bytes([*length, rest]) + content
