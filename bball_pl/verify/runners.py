"""One interface to run every exported format: ONNX, Core ML (on a Mac, or here on torch) and Core AI."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import math
import sys
import threading
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bball_pl.errors import ConfigError, VerificationError
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.verify.executors import kernels
from bball_pl.verify.model_file import Colour, coreai_metadata, reason_of

Mode = Literal["fp32", "fp16"]


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep converters from writing progress bars and warnings about their internals to the terminal."""
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


class Runner:
    """A saved model, read back from disk, that answers photos.

    Attributes:
        name: the file's name, for messages.
        class_names: the labels in the file, in the order of its probabilities.
        size: width and height of the photo, in pixels.
        metadata: text fields of the file.
        largest_activation: largest absolute intermediate value over all photos so far; 0 where it cannot be seen.
        largest_activation_at: the op or layer that gave it.
    """

    name: str
    class_names: list[str]
    size: tuple[int, int]
    metadata: dict[str, str]
    largest_activation = 0.0
    largest_activation_at = ""

    @property
    def preprocess(self) -> PreprocessSpec:
        """How a photo becomes the input, as the file states it.

        Raises:
            VerificationError: if the file does not state it.
        """
        try:
            return PreprocessSpec.from_dict(json.loads(self.metadata["bball_pl.preprocess"]))
        except (KeyError, ValueError, ConfigError) as error:
            raise VerificationError(f"{self.name} does not state how photos are preprocessed ({error})") from error

    def probabilities(self, photo: np.ndarray) -> np.ndarray:
        """Answer one photo.

        Args:
            photo: RGB uint8 `[height, width, 3]`, 0–255, as `PreprocessSpec.resize` makes it.

        Returns:
            float32 `[labels]`, in the order of `class_names`.

        Raises:
            VerificationError: if the photo has another size, or the model cannot be run on it.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Release what the format's runtime keeps open."""


@dataclass(frozen=True)
class Step:
    """One op or layer of a Core ML model, ready to run.

    Attributes:
        label: the op in messages, such as `conv1 (convolution)`.
        run: takes the inputs in their order and returns the results.
        inputs: keys of the values that it takes.
        outputs: keys of the values that it gives.
        shapes: the shape that the file states for each result; None where a side, or the whole shape, is open.
        types: the type that the file states for each result; empty where it states none.
        rounded: the results are of 16 bits on a phone, and not merely moved from the inputs.
        last_used: keys of the values that no later step takes.
    """

    label: str
    run: Callable[[list[Tensor]], Tensor | Sequence[Tensor]]
    inputs: list[Hashable]
    outputs: list[Hashable]
    shapes: list[tuple[int | None, ...] | None]
    types: list[str]
    rounded: bool
    last_used: list[Hashable] = field(default_factory=list)


class TorchExecutor(Runner):
    """A saved Core ML model that is run step by step on torch, without a Mac.

    A subclass reads the file and fills `_steps`, `_constants`, `_image_key` and `_answer_key`.

    Attributes:
        input_name: name of the photo.
        colour: order of the channels that the model takes, which a photo is turned into; or `array`, whose numbers the
            file does not explain.
        outputs: names of the label and the probabilities.

    Args:
        path: the file.
        mode: fp32, or fp16 to round values to fp16 between the steps.
    """

    input_name: str
    colour: Colour
    outputs: list[str]

    def __init__(self, path: Path, mode: Mode) -> None:
        self.name, self._round = path.name, mode == "fp16"
        self._steps: list[Step] = []
        self._constants: dict[Hashable, Tensor] = {}
        self._image_key: Hashable = 0
        self._answer_key: Hashable = 0

    def probabilities(self, photo: np.ndarray) -> np.ndarray:
        """Answer one photo; see `Runner.probabilities`. An error names the op that cannot be run."""
        answer = self.values(self._picture(photo))
        if len(answer) != len(self.class_names):
            raise VerificationError(
                f"{self.name}: {self._answer_key!r} has {len(answer)} values for {len(self.class_names)} labels"
            )
        return answer

    @torch.inference_mode()
    def values(self, picture: Tensor) -> np.ndarray:
        """Run the model: RGB float32 `[1, 3, height, width]`, of a photo 0–255 → float32 `[values]`.

        Raises:
            VerificationError: if an op cannot be run; the message names it.
        """
        values = {**self._constants, self._image_key: self._input(picture)}
        for step in self._steps:
            results = self._results(step, values)
            values.update(zip(step.outputs, results, strict=True))
            for key in step.last_used:
                del values[key]
        answer: np.ndarray = values[self._answer_key].flatten().numpy().copy()
        return answer

    def _picture(self, photo: np.ndarray) -> Tensor:
        """Return a photo as RGB float32 `[1, 3, height, width]`, 0–255."""
        width, height = self.size
        if photo.shape != (height, width, 3) or photo.dtype != np.uint8:
            raise VerificationError(
                f"{self.name} takes photos uint8 [{height}, {width}, 3]; found {photo.dtype} {list(photo.shape)}"
            )
        # [H, W, 3] seen as [3, H, W] is channels_last already.
        return torch.tensor(photo).permute(2, 0, 1)[None].float()

    def _input(self, picture: Tensor) -> Tensor:
        """Return a picture as the model's first step takes it."""
        return picture.flip(1) if self.colour == "BGR" else picture

    def _results(self, step: Step, values: Mapping[Hashable, Tensor]) -> list[Tensor]:
        try:
            given = step.run([values[key] for key in step.inputs])
        except (RuntimeError, ValueError, TypeError, LookupError) as error:
            raise self._refusal(step.label, f"cannot be run here: {reason_of(error)}") from error
        results = [given] if isinstance(given, Tensor) else list(given)
        if len(results) != len(step.outputs):
            raise self._refusal(step.label, f"gives {len(results)} results, not {len(step.outputs)}")
        return [self._accepted(step, index, result) for index, result in enumerate(results)]

    def _accepted(self, step: Step, index: int, result: Tensor) -> Tensor:
        stated, kind = step.shapes[index], step.types[index]
        fits = stated is None or (
            len(stated) == result.dim()
            and all(side in (None, found) for side, found in zip(stated, result.shape, strict=True))
        )
        if not fits or result.dtype != kernels.TYPES[kind or "fp32"]:
            wanted = f"{kind} {list(stated or ())}".strip()
            found = f"{result.dtype} {list(result.shape)}"
            raise self._refusal(step.label, f"gives {found}; the file states {wanted}")
        if not result.numel():
            raise self._refusal(step.label, "gives an empty blob")
        if step.rounded:
            result = self._rounded(result)
            self._note_largest(step.label, result)
        return result

    def _rounded(self, values: Tensor) -> Tensor:
        return values.half().float() if self._round else values

    def _refusal(self, label: str, reason: str) -> VerificationError:
        return VerificationError(f"{self.name}: {label}: {reason}")

    def _note_largest(self, label: str, result: Tensor) -> None:
        # Two passes: aminmax, and abs().max(), take twenty times as long where the memory format is channels_last.
        largest = max(-result.amin().item(), result.amax().item())
        if not largest <= self.largest_activation and self.largest_activation < math.inf:
            self.largest_activation = math.inf if math.isnan(largest) else largest
            self.largest_activation_at = label

    def _note_last_uses(self) -> None:
        """Let every step drop the values that no later one takes, which keeps the memory of a photo small."""
        kept = {self._answer_key, *self._constants}
        for step in reversed(self._steps):
            step.last_used.extend({*step.inputs, *step.outputs} - kept)
            kept |= set(step.inputs)

    def _check_labels(self) -> None:
        twice = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
        if twice or not self.class_names:
            reason = f"{', '.join(twice)} labels two of its classes" if twice else "it has no labels"
            raise VerificationError(f"{self.name}: Core ML's answer would lack a class: {reason}")


class OnnxRunner(Runner):
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
            raise VerificationError(f"{path.name}: onnxruntime refuses it ({reason_of(error)})") from error
        (image,) = self._session.get_inputs()
        self.name, self._input = path.name, image.name
        self.size = (int(image.shape[3]), int(image.shape[2]))
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        self.class_names = self.metadata.get("labels", "").split("\n")

    def batch(self, photos: np.ndarray) -> np.ndarray:
        """Answer photos: RGB uint8 `[B, S, S, 3]` → float32 `[B, labels]`."""
        images = np.ascontiguousarray(photos.transpose(0, 3, 1, 2), np.float32)
        (answers,) = self._session.run(None, {self._input: images})
        return np.asarray(answers)

    def probabilities(self, photo: np.ndarray) -> np.ndarray:
        """Answer one photo: RGB uint8 `[S, S, 3]` → float32 `[labels]`."""
        answer: np.ndarray = self.batch(photo[None])[0]
        return answer


class CoreMLRunner(Runner):
    """A Core ML file in Apple's runtime; on macOS only.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        import coremltools as ct

        self._model = ct.models.MLModel(str(path))
        description = self._model.get_spec().description
        self._input, self._output = description.input[0].name, description.predictedProbabilitiesName
        # Core ML answers with a dictionary, which has no order: the labels in order are in the file.
        executor = runner_for(path)
        self.name, self.size, self.metadata = path.name, executor.size, executor.metadata
        self.class_names = executor.class_names

    @staticmethod
    def available() -> bool:
        """Say whether this machine can run Core ML files."""
        return sys.platform == "darwin"

    def probabilities(self, photo: np.ndarray) -> np.ndarray:
        """Answer one photo: RGB uint8 `[S, S, 3]` → float32 `[labels]`."""
        from PIL import Image

        shares: dict[str, float] = self._model.predict({self._input: Image.fromarray(photo)})[self._output]
        return np.array([shares[name] for name in self.class_names], np.float32)


#: Bytes of stack: the compiler recurses as deep as the graph, and the usual 8 MiB end in a segmentation fault.
_STACK = 512 * 1024 * 1024


class CoreAIRunner(Runner):
    """A Core AI asset (`.aimodel`, iOS 27, beta) in Apple's runtime, which runs on Linux as well.

    Args:
        path: the asset.

    Raises:
        ConfigError: if the package is not installed.
        VerificationError: if the runtime refuses the asset, or its metadata cannot be read.
    """

    def __init__(self, path: Path) -> None:
        require_coreai()
        from coreai.authoring import AIModelAsset

        self.name, self.metadata = path.name, coreai_metadata(path)
        self.class_names = self.metadata.get("labels", "").split("\n")
        self.size = (self.preprocess.size, self.preprocess.size)
        # The runtime is asynchronous: a thread with an event loop keeps the model open.
        self._loop = asyncio.new_event_loop()
        start_deep_thread(self._loop.run_forever)
        self._leave = asyncio.Event()

        async def hold(ready: asyncio.Future[Any]) -> None:
            try:
                async with AIModelAsset.load(path).executable() as model:
                    ready.set_result(model.load_function("main"))
                    await self._leave.wait()
            except Exception as error:  # the runtime's exceptions are undocumented
                if not ready.done():
                    ready.set_exception(error)

        async def open_model() -> Any:
            ready: asyncio.Future[Any] = self._loop.create_future()
            self._holder = asyncio.create_task(hold(ready))
            return await ready

        try:
            self._function = asyncio.run_coroutine_threadsafe(open_model(), self._loop).result()
        except Exception as error:
            raise VerificationError(f"{path.name}: Core AI's runtime refuses it ({error})") from error
        (self._input,) = self._function.desc.input_names
        (self._output,) = self._function.desc.output_names

    def probabilities(self, photo: np.ndarray) -> np.ndarray:
        """Answer one photo: RGB uint8 `[S, S, 3]` → float32 `[labels]`."""
        from coreai.runtime import NDArray

        image = np.ascontiguousarray(photo.transpose(2, 0, 1)[None], np.float32)

        async def ask() -> np.ndarray:
            answer = await self._function({self._input: NDArray(image)})
            first: np.ndarray = np.asarray(answer[self._output].numpy())[0]
            return first

        answer: np.ndarray = asyncio.run_coroutine_threadsafe(ask(), self._loop).result()
        return answer

    def close(self) -> None:
        """Release the model and end its thread."""

        async def leave() -> None:
            self._leave.set()
            await self._holder

        asyncio.run_coroutine_threadsafe(leave(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)


def require_coreai() -> None:
    """Raise `ConfigError` unless Apple's beta packages are installed."""
    try:
        with quietly():  # it would warn of every torch that is newer than itself
            import coreai_torch  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "the format aimodel needs Apple's beta packages: pip install 'bball_pl[coreai]'. They exist for Linux "
            "x86-64 and macOS; or leave aimodel out of --formats."
        ) from error


def start_deep_thread(work: Callable[[], object]) -> threading.Thread:
    """Run `work` in a thread whose stack is deep enough for the compiler's recursion."""
    before = threading.stack_size(_STACK)
    try:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
    finally:
        threading.stack_size(before)
    return thread


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
        from bball_pl.verify.executors.mil_program import MilProgram

        return MilProgram(path, "fp16" if fp16 else "fp32")
    if path.suffix == ".mlmodel":
        from bball_pl.verify.executors.neuralnetwork import NeuralNetwork

        return NeuralNetwork(path)
    if path.suffix == ".aimodel":
        return CoreAIRunner(path)
    raise ConfigError(f"{path.name}: expected a file that ends in .onnx, .mlpackage, .mlmodel or .aimodel")
