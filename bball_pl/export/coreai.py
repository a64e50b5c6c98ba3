"""A classifier as a Core AI asset (`.aimodel`, iOS 27, beta), and Apple's own runtime to run it on Linux."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bball_pl.errors import ConfigError, VerificationError
from bball_pl.export.about import About
from bball_pl.export.deploy import DeployModel
from bball_pl.export.interface import Interface
from bball_pl.export.onnx import quietly

#: The compiler recurses as deep as the graph: the usual 8 MiB end in a segmentation fault.
_STACK = 512 * 1024 * 1024


def write_coreai(model: DeployModel, path: Path, interface: Interface, about: About) -> Path:
    """Write a Core AI asset: RGB float32 `[1, 3, S, S]`, 0–255 → probabilities float32 `[1, classes]`.

    The format knows no labels: they are in its metadata, in the order of the outputs.

    Args:
        model: in evaluation mode.
        path: ends in .aimodel; it must not exist.
        interface: names of input and output, and the labels.
        about: the facts.

    Returns:
        `path`.

    Raises:
        ConfigError: if the package is not installed.
    """
    _require()
    from coreai.authoring import AIModelAsset
    from coreai_torch import TorchConverter, get_decomp_table

    def convert() -> None:
        program = torch.export.export(model, (model.example,)).run_decompositions(get_decomp_table())
        converter = TorchConverter().add_exported_program(
            program, input_names=[interface.image], output_names=[interface.probabilities]
        )
        converter.to_coreai().save_asset(path)

    with quietly():
        _on_a_deep_stack(convert)

    def describe(metadata: Any) -> None:
        metadata.author, metadata.license = about.author, about.licence
        metadata.model_description = about.description
        for name, value in (about.user_defined() | {"labels": "\n".join(interface.labels)}).items():
            metadata.set_custom(name, value)

    AIModelAsset.load(path).update_metadata(describe)
    return path


def coreai_metadata(path: Path) -> dict[str, str]:
    """Return the text fields of an asset.

    Raises:
        VerificationError: if they cannot be read.
    """
    try:
        plain = json.loads((path / "metadata.json").read_text(encoding="utf-8"))
        custom = plain.get("creatorDefinedMetadata", plain)
        return {str(name): str(value) for name, value in custom.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise VerificationError(f"{path.name}: its metadata cannot be read ({error})") from error


class CoreAIRunner:
    """A Core AI asset in Apple's own runtime.

    Args:
        path: the asset.

    Raises:
        ConfigError: if the package is not installed.
        VerificationError: if the runtime refuses the asset.
    """

    def __init__(self, path: Path) -> None:
        _require()
        from coreai.authoring import AIModelAsset

        self.class_names = coreai_metadata(path).get("labels", "").split("\n")
        side = int(json.loads(coreai_metadata(path)["bball_pl.preprocess"])["size"])
        self.size = (side, side)
        self.largest_activation = 0.0
        # The runtime is asynchronous: one thread with a loop of its own holds the model open.
        self._loop = asyncio.new_event_loop()
        _start_deep_thread(self._loop.run_forever)
        self._leave = asyncio.Event()

        async def hold(ready: asyncio.Future[Any]) -> None:
            try:
                async with AIModelAsset.load(path).executable() as model:
                    ready.set_result(model.load_function("main"))
                    await self._leave.wait()
            except Exception as error:  # the runtime's exceptions are its own and undocumented
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
        """Give the model back."""

        async def leave() -> None:
            self._leave.set()
            await self._holder

        asyncio.run_coroutine_threadsafe(leave(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)


def _require() -> None:
    try:
        with quietly():  # it would warn of every torch that is newer than itself
            import coreai_torch  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "the format aimodel needs Apple's beta packages: pip install 'bball_pl[coreai]'. They come for Linux "
            "x86-64 and macOS; or leave aimodel out of --formats."
        ) from error


def _start_deep_thread(work: Callable[[], object]) -> threading.Thread:
    before = threading.stack_size(_STACK)
    try:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
    finally:
        threading.stack_size(before)
    return thread


def _on_a_deep_stack(work: Callable[[], None]) -> None:
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # raised again where the caller waits
            failed.append(error)

    _start_deep_thread(guarded).join()
    if failed:
        raise failed[0]
