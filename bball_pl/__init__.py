"""bball_pl: from a league's photo album to a basketball-move classifier on a phone.

Example:
    >>> from bball_pl import TrainedModel
    >>> model = TrainedModel.open("lightning_logs/demo/version_0")
    >>> for answer in model.predict(["photo.jpg"]):
    ...     print(answer.label, answer.confidence)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bball_pl.evaluate.trained_model import TrainedModel

__all__ = ["TrainedModel", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Imported on first use (PEP 562): torch takes seconds, and `import bball_pl` alone does not need it.
    if name == "TrainedModel":
        from bball_pl.evaluate.trained_model import TrainedModel

        return TrainedModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
