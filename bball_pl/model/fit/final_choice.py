"""The final choice: best.ckpt becomes the best of probe, best epoch and their average, at the size that suits it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.nn.functional import cross_entropy

from bball_pl import project
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.errors import ConfigError
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.fit.checkpoints import checkpoint_folder, model_checkpoint, write_checkpoint
from bball_pl.model.linear_probe import clearly_better, none_offset, raised
from bball_pl.model.outcomes import Outcomes
from bball_pl.model.probe_start import LinearProbe, answers, head_name, is_small
from bball_pl.model.temperature import MANY, fit_temperature

if TYPE_CHECKING:
    from bball_pl.model.classifier import MoveClassifier

#: Steps of the sizes that are tried, and how many: a backbone that halves the photo five times wastes none of their
#: pixels, and two are the third by which crops of half the area enlarge what they show (heavy augmentation).
_STRIDE = 32
_STEPS = 2

#: Standard errors by which fine-tuning must beat the probe of few photos. With one, it was taken in one of five folds
#: of 172 real photos of moves, on 20 validation photos, and lost there; over all five it was clearly worse.
_FEW_ERRORS = 2.0
_AVERAGE = "the weight average"

AnswerSize = int | Literal["auto"] | None


@dataclass(frozen=True)
class Candidate:
    """A network that `best.ckpt` may become.

    Attributes:
        name: for the terminal.
        state: weights of the classifier.
        size: side of the input in pixels.
        outcomes: answers to the validation photos, with `offset` added.
        offset: added to the logit of a `none` that was rendered, 0 or less.
    """

    name: str
    state: dict[str, Tensor]
    size: int
    outcomes: Outcomes
    offset: float = 0.0

    @cached_property
    def losses(self) -> Tensor:
        """Cross entropy of each validation photo, of many photos after temperature scaling, float `[N]`, in nats."""
        logits, targets = self.outcomes.logits, self.outcomes.targets
        temperature = fit_temperature(logits.numpy(), targets.numpy()) if len(targets) >= MANY else 1.0
        return cross_entropy(logits / temperature, targets, reduction="none")


class FinalChoice(Callback):
    """Makes `best.ckpt` the model that answers the validation photos best, once the last epoch is over.

    A network is trained on crops, which show people and balls larger than whole photos do, so it answers better at a
    larger size than it was trained at (arXiv:1906.06423). Larger sizes cost time on a phone: they must be clearly
    better.

    With a linear probe, the probe, the best epoch and the average of their weights (arXiv:2109.01903) are compared.
    Of few photos the probe gets the benefit of the doubt, of many the others do. Where the probe wins, `best.ckpt`
    becomes the probe, fitted again to all photos for training and validation, with its answers to held-out photos for
    calibration.

    The logit of a class `none` that was rendered is lowered until few validation photos of a move are lost to it, as
    the probe's is.

    From 90 validation photos on, losses are compared after temperature scaling, which the evaluation does with the same
    photos: a larger input makes larger logits, and a network trained with label smoothing smaller ones than a
    regression. Of fewer photos neither has a temperature that is fitted to them (`MANY`).

    Args:
        probe: the probe that the run starts from, or None.
        answer_size: auto as above; a number is the size of the answers, in pixels, None that of the training.
    """

    def __init__(self, probe: LinearProbe | None, answer_size: AnswerSize) -> None:
        self._probe = probe
        self._answer_size = answer_size
        #: Validation answers of the best epoch so far, which `best.ckpt` holds.
        self._best: Outcomes | None = None

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remember the answers of the best epoch."""
        classifier: Any = pl_module
        outcomes = None if trainer.sanity_checking else classifier.outcomes.get("val")
        if outcomes is not None and (self._best is None or outcomes.losses.mean() < self._best.losses.mean()):
            self._best = outcomes

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Choose, and write `best.ckpt`."""
        folder = checkpoint_folder(trainer)
        data = trainer.datamodule  # type: ignore[attr-defined]
        if folder is None or model_checkpoint(trainer) is None or not isinstance(data, PhotoDataModule):
            return
        best = folder / project.BEST
        checkpoint = read_checkpoint(best) if best.is_file() else None
        if checkpoint is not None and checkpoint["bball_pl"].keys() & {"held_out", "trained_size"}:
            # A run that was interrupted in its test: the choice is made, and best.ckpt is no longer the best epoch.
            return
        classifier: Any = pl_module
        probe = None if self._probe is None or self._probe.start is None else self._probe
        start = None if probe is None else probe.start_state(trainer, classifier)
        tuned = None
        if checkpoint is not None and self._best is not None:  # an epoch had a loss that is a number
            tuned = self._tuned(trainer, classifier, checkpoint["state_dict"], self._best, start)
        kept = None if probe is None or start is None else self._kept(trainer, classifier, probe, start)
        trainer.strategy.barrier("compared")  # every process has read best.ckpt
        if probe is not None and kept is not None and keeps_probe(kept, tuned, few=is_small(data)):
            if trainer.is_global_zero:
                write_checkpoint(self._of_probe(classifier, read_checkpoint(folder / project.PROBE), kept), best)
        elif checkpoint is not None and tuned is not None and trainer.is_global_zero:
            checkpoint["state_dict"] = tuned.state
            checkpoint["bball_pl"] |= {"trained_size": classifier.spec.size, "averaged": tuned.name == _AVERAGE}
            write_checkpoint(_at_its_size(classifier, checkpoint, tuned), best)
        trainer.strategy.barrier("chosen")

    def _tuned(
        self,
        trainer: L.Trainer,
        classifier: MoveClassifier,
        state: dict[str, Tensor],
        outcomes: Outcomes,
        start: dict[str, Tensor] | None,
    ) -> Candidate:
        """Return the best epoch or, if that is better, its average with the start, at the size that suits it."""
        size = classifier.spec.size
        best = _candidate(trainer, classifier, "fine-tuning", state, size, outcomes)
        if start is not None:
            average = {
                key: (value + start[key]) / 2 if value.is_floating_point() else value for key, value in state.items()
            }
            averaged = _answered(trainer, classifier, _AVERAGE, average, size)
            if averaged.losses.mean() < best.losses.mean():
                best = averaged
        return self._at_best_size(trainer, classifier, best)

    def _kept(
        self, trainer: L.Trainer, classifier: MoveClassifier, probe: LinearProbe, start: dict[str, Tensor]
    ) -> Candidate:
        """Return the probe; at the size that suits it, unless folds have chosen that before."""
        assert probe.val is not None
        kept = Candidate("the linear probe", start, classifier.spec.size, probe.val)
        return kept if probe.folds > 1 else self._at_best_size(trainer, classifier, kept)

    def _at_best_size(self, trainer: L.Trainer, classifier: MoveClassifier, candidate: Candidate) -> Candidate:
        for size in self._sizes(classifier):
            larger = _answered(trainer, classifier, candidate.name, candidate.state, size)
            asked = self._answer_size == size
            if not asked and not clearly_better(larger.losses, candidate.losses):
                break
            rank_zero_info(
                f"{candidate.name} answers at {size} px: val loss {float(larger.losses.mean()):.4g} against "
                f"{float(candidate.losses.mean()):.4g} at {candidate.size} px"
                + ("" if asked else "; --model.answer_size null keeps the size of the training")
            )
            candidate = larger
        return candidate

    def _sizes(self, classifier: MoveClassifier) -> list[int]:
        """Return the sizes to try, ascending."""
        size = classifier.spec.size
        if isinstance(self._answer_size, int):
            return [] if self._answer_size == size else [self._answer_size]
        sizes = []
        for _ in range(_STEPS if self._answer_size == "auto" else 0):
            size = larger_size(size)
            try:
                classifier.network.check_size(size)
            except ConfigError:
                break
            sizes.append(size)
        return sizes

    @staticmethod
    def _of_probe(classifier: MoveClassifier, checkpoint: dict[str, Any], kept: Candidate) -> dict[str, Any]:
        """Return the checkpoint of the probe of all photos, with the size and the answers of that of the training."""
        if kept.size == classifier.spec.size:
            return checkpoint
        checkpoint["bball_pl"]["held_out"] |= {
            "size": kept.size,
            "targets": kept.outcomes.targets.tolist(),
            "logits": kept.outcomes.logits.tolist(),
        }
        return _at_its_size(classifier, checkpoint, kept)

    def state_dict(self) -> dict[str, Any]:
        """Return the answers of the best epoch, so that a resumed run can still compare."""
        best = self._best
        return {"best": None if best is None else (best.indices, best.targets, best.logits)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the answers of the interrupted run's best epoch."""
        self._best = None if state_dict["best"] is None else Outcomes(*state_dict["best"])


def larger_size(size: int) -> int:
    """Return the next size to try, in pixels: a multiple of 32 that is at least a tenth larger."""
    return math.ceil(1.1 * size / _STRIDE) * _STRIDE


def _answered(
    trainer: L.Trainer, classifier: MoveClassifier, name: str, state: dict[str, Tensor], size: int
) -> Candidate:
    """Return a candidate with its answers to the validation photos at a size."""
    data: PhotoDataModule = trainer.datamodule  # type: ignore[attr-defined]
    present = {key: value.clone() for key, value in classifier.state_dict().items()}
    classifier.load_state_dict(state)
    outcomes = answers(trainer, classifier, data, data.photos["val"], size, classifier)
    classifier.load_state_dict(present)
    return _candidate(trainer, classifier, name, state, size, outcomes)


def _candidate(
    trainer: L.Trainer,
    classifier: MoveClassifier,
    name: str,
    state: dict[str, Tensor],
    size: int,
    outcomes: Outcomes,
) -> Candidate:
    """Return a candidate; where `none` was rendered, with its logit so low that few moves are lost to it.

    Then no validation photo tells how high it should be (see `none_offset`).
    """
    data: PhotoDataModule = trainer.datamodule  # type: ignore[attr-defined]
    if not data.scenes or not isinstance(classifier.network.head, torch.nn.Linear):
        return Candidate(name, state, size, outcomes)
    offset = none_offset(outcomes.logits, outcomes.targets, outcomes.logits.shape[1] - 1)
    return Candidate(name, state, size, replace(outcomes, logits=raised(outcomes.logits, offset)), offset)


def _at_its_size(classifier: MoveClassifier, checkpoint: dict[str, Any], candidate: Candidate) -> dict[str, Any]:
    """Return a checkpoint that answers at a candidate's size, with its logit of `none`."""
    if candidate.offset:
        bias = f"{head_name(classifier)}.bias"
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = state | {bias: raised(state[bias], candidate.offset)}
    checkpoint["bball_pl"]["spec"] = replace(classifier.spec, size=candidate.size).to_dict()
    checkpoint["hyper_parameters"]["image_size"] = candidate.size
    return checkpoint


def keeps_probe(kept: Candidate, tuned: Candidate | None, few: bool) -> bool:
    """Say and return whether the probe is kept: of few photos unless fine-tuning is clearly better, else if it is.

    With many photos fine-tuning is the likelier winner before anything is measured, so the doubt is for it.

    Args:
        kept: the probe.
        tuned: the best of fine-tuning; None if no epoch had a loss that is a number.
        few: whether the photos are so few that folds choose the probe's settings (`is_small`).
    """
    reference = kept.losses
    losses = torch.full_like(reference, torch.nan) if tuned is None else tuned.losses
    name = "fine-tuning" if tuned is None else tuned.name
    figures = f"val loss {float(losses.mean()):.4g} against {float(reference.mean()):.4g}"
    doubt_is_for_probe = few or not bool(losses.isfinite().all())
    keeps = (
        not clearly_better(losses, reference, _FEW_ERRORS) if doubt_is_for_probe else clearly_better(reference, losses)
    )
    # Without the remark a user who sees the lower figure would wonder.
    is_lower = losses.mean() < reference.mean() if keeps else losses.mean() > reference.mean()
    apart = "less than two standard errors apart" if doubt_is_for_probe else "less than one standard error apart"
    doubt = f", {apart}" if is_lower else ""
    rank_zero_info(
        f"{name} did not beat the linear probe ({figures}{doubt}): best.ckpt is the probe"
        if keeps
        else f"{name} beat the linear probe: {figures}{doubt}"
    )
    return keeps
