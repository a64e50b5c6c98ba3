"""A common interface to run each exported format, and silence for chatty converters."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bball_pl.errors import ConfigError, VerificationError
from bball_pl.photos.preprocess import PreprocessSpec


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep converters from writing bars and warnings about their own insides to the terminal."""
    names = ("coremltools", "torch.onnx", "onnxscript", "onnx_ir", "root")
    levels = {name: logging.getLogger(name).level for name in names}
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        for name in names:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


class Runner(Protocol):
    """A saved model, read back from disk.

    Attributes:
        class_names: the labels in the file, in the order of its probabilities.
        size: width and height of the photo that it takes, in pixels.
        largest_activation: largest absolute intermediate value so far; 0 where it cannot be seen.
    """

    @property
    def class_names(self) -> list[str]:
        """The labels."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        ...

    @property
    def largest_activation(self) -> float:
        """Largest absolute value."""
        ...

    def probabilities(self, photo: np.ndarray) -> np.ndarray:
        """Answer one photo: RGB uint8 `[S, S, 3]`, 0–255 → float32 `[labels]`."""
        ...


@dataclass(frozen=True)
class FileFacts:
    """What a saved file says of itself that running it needs.

    Attributes:
        spec: how a photo becomes the input, as the file's own metadata has it.
        metadata: all of its text fields.
    """

    spec: PreprocessSpec
    metadata: dict[str, str]


class OnnxRunner:
    """An ONNX file in onnxruntime, on the CPU.

    Args:
        path: the file.

    Raises:
        VerificationError: if onnxruntime refuses it.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of exception per status, none of them public
            raise VerificationError(f"{path.name}: onnxruntime refuses it ({str(error).splitlines()[0]})") from error
        (image,) = self._session.get_inputs()
        self._input = image.name
        self.size = (int(image.shape[3]), int(image.shape[2]))
        self.class_names = self._session.get_modelmeta().custom_metadata_map.get("labels", "").split("\n")
        self.largest_activation = 0.0

    def batch(self, photos: np.ndarray) -> np.ndarray:
        """Answer photos: RGB uint8 `[B, S, S, 3]` → float32 `[B, labels]`."""
        images = np.ascontiguousarray(photos.transpose(0, 3, 1, 2), np.float32)
        (answers,) = self._session.run(None, {self._input: images})
        return np.asarray(answers)

    def probabilities(self, photo: np.ndarray) -> np.ndarray:
        """Answer one photo: RGB uint8 `[S, S, 3]` → float32 `[labels]`."""
        answer: np.ndarray = self.batch(photo[None])[0]
        return answer


class CoreMLRunner:
    """A Core ML file in Apple's own runtime; on macOS only.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        import coremltools as ct

        self._model = ct.models.MLModel(str(path))
        description = self._model.get_spec().description
        self._input, self._output = description.input[0].name, description.predictedProbabilitiesName
        image = description.input[0].type.imageType
        self.size = (int(image.width), int(image.height))
        # Core ML answers with a dictionary, whose order says nothing: the file has the labels in order.
        self.class_names = runner_for(path).class_names
        self.largest_activation = 0.0

    @staticmethod
    def available() -> bool:
        """Say whether this machine can run Core ML files."""
        return sys.platform == "darwin"

    def probabilities(self, photo: np.ndarray) -> np.ndarray:
        """Answer one photo: RGB uint8 `[S, S, 3]` → float32 `[labels]`."""
        from PIL import Image

        shares: dict[str, float] = self._model.predict({self._input: Image.fromarray(photo)})[self._output]
        return np.array([shares[name] for name in self.class_names], np.float32)


def runner_for(path: Path, fp16: bool = False) -> Runner:
    """Open a saved file with the runner of its format.

    Args:
        path: ends in .onnx, .mlpackage, .mlmodel or .aimodel.
        fp16: round the intermediate values of an ML Program as its types say.

    Raises:
        VerificationError: if the file cannot be read.
        ConfigError: if the format is another one.
    """
    if path.suffix == ".onnx":
        return OnnxRunner(path)
    if path.suffix == ".mlpackage":
        from bball_pl.verify.mil_program import MilProgram

        return MilProgram(path, "fp16" if fp16 else "fp32")
    if path.suffix == ".mlmodel":
        from bball_pl.verify.neuralnetwork import NeuralNetwork

        return NeuralNetwork(path)
    if path.suffix == ".aimodel":
        from bball_pl.verify.coreai_runtime import CoreAIRunner

        return CoreAIRunner(path)
    raise ConfigError(f"{path.name}: expected a file that ends in .onnx, .mlpackage, .mlmodel or .aimodel")


def file_facts(path: Path) -> FileFacts:
    """Read what a saved file says of itself.

    Raises:
        VerificationError: if it does not say how photos are to be handed to it.
    """
    metadata: dict[str, str]
    if path.suffix == ".onnx":
        import onnx

        metadata = {field.key: field.value for field in onnx.load(path, load_external_data=False).metadata_props}
    elif path.suffix == ".aimodel":
        from bball_pl.verify.coreai_runtime import coreai_metadata

        metadata = coreai_metadata(path)
    else:
        import coremltools as ct

        spec: Any = ct.utils.load_spec(str(path))
        metadata = dict(spec.description.metadata.userDefined)
    try:
        return FileFacts(PreprocessSpec.from_dict(json.loads(metadata["bball_pl.preprocess"])), metadata)
    except (KeyError, ValueError, ConfigError) as error:
        raise VerificationError(f"{path.name} does not say how photos are to be handed to it ({error})") from error
