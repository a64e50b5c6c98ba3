"""Apple's own Core AI runtime on Linux: it runs a saved asset (`.aimodel`, iOS 27, beta)."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bball_pl.errors import ConfigError, VerificationError
from bball_pl.verify.runners import quietly

#: The compiler recurses as deep as the graph: the usual 8 MiB end in a segmentation fault.
_STACK = 512 * 1024 * 1024


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
        require_coreai()
        from coreai.authoring import AIModelAsset

        self.class_names = coreai_metadata(path).get("labels", "").split("\n")
        side = int(json.loads(coreai_metadata(path)["bball_pl.preprocess"])["size"])
        self.size = (side, side)
        self.largest_activation = 0.0
        # The runtime is asynchronous: one thread with a loop of its own holds the model open.
        self._loop = asyncio.new_event_loop()
        start_deep_thread(self._loop.run_forever)
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


def require_coreai() -> None:
    """Raise `ConfigError` unless Apple's beta packages are installed."""
    try:
        with quietly():  # it would warn of every torch that is newer than itself
            import coreai_torch  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "the format aimodel needs Apple's beta packages: pip install 'bball_pl[coreai]'. They come for Linux "
            "x86-64 and macOS; or leave aimodel out of --formats."
        ) from error


def start_deep_thread(work: Callable[[], object]) -> threading.Thread:
    """Run `work` in a thread whose stack holds the compiler's recursion."""
    before = threading.stack_size(_STACK)
    try:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
    finally:
        threading.stack_size(before)
    return thread
