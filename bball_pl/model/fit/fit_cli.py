"""The command line of `fit`: LightningCLI with this project's links, defaults and callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import lightning as L
import yaml  # type: ignore[import-untyped]
from jsonargparse import ActionYesNo, Namespace, set_loader
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard.summary import hparams

from bball_pl import project
from bball_pl.cli import ErrorsInOneLine, home_path
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.errors import ConfigError, RunError
from bball_pl.files import atomic_path
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.fit.checkpoints import (
    DataRecord,
    FiniteLoss,
    FitInterrupted,
    GracefulStop,
    KeepBest,
    KeepLast,
    checkpoint_folder,
)
from bball_pl.model.fit.epoch_pictures import Pictures
from bball_pl.model.fit.fit_help import RUN_OPTIONS, SEED, load_settings, refuse_repeated_keys
from bball_pl.model.fit.trainer import (
    FitProgressBar,
    FitTrainer,
    ProgressLines,
    Throughput,
    check_options,
    launched_step,
    silence_chatter,
)
from bball_pl.model.network import chosen_weights, is_twin, spec_for
from bball_pl.model.outcomes import require_resumable
from bball_pl.moves import MOVES

#: The figures of the last epoch that stand beside the settings.
_FINAL = ("val/loss", "val/acc", "val/f1", "gap/loss", "gap/acc", "train/loss_epoch")


#: Name of the reader of settings among jsonargparse's.
_MODE = "fit"
set_loader(_MODE, load_settings, (yaml.YAMLError,))


class _SaveConfig(SaveConfigCallback):
    """Writes `config.yaml` such that it repeats the whole run, also after the run was stopped and resumed."""

    def __init__(self, parser: LightningArgumentParser, config: Namespace, **kwargs: Any) -> None:
        whole = config.clone()
        whole["ckpt_path"] = None
        super().__init__(parser, whole, save_to_log_dir=False, **kwargs)
        self._folder: str | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Write the file once, from the first process."""
        self._folder = trainer.log_dir  # a collective operation
        super().setup(trainer, pl_module, stage)

    def save_config(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Write the file atomically: a resumed run that is killed meanwhile could not be resumed again."""
        if self._folder is not None:
            with atomic_path(Path(self._folder) / project.CONFIG) as temporary:
                self.parser.save(self.config, temporary, skip_none=False, overwrite=True, multifile=False)


class _RunLogger(TensorBoardLogger):
    """TensorBoard's logger of a new run, in a folder that no run beside it can get as well.

    Lightning's takes the first free number and makes the folder later: runs that start together would share it.
    """

    def __init__(self, root: Path, name: str) -> None:
        super().__init__(root, name=name, default_hp_metric=False)
        self._number: int | None = None

    @property
    def version(self) -> int:
        """Number of the run; the folder is made when it is first asked for, by the first process alone."""
        if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
            return 0  # the other processes get the folder's name from the first one
        if self._number is None:
            self._number = project.new_version(Path(self.root_dir))
        return self._number


class _Parser(ErrorsInOneLine, LightningArgumentParser):
    """LightningCLI's parser, with errors in one line: usage and help would push them off the screen."""

    help_words = "--help all"


class FitCLI(LightningCLI):
    """Parses the configuration and builds datamodule, classifier and trainer; it runs nothing by itself."""

    datamodule: PhotoDataModule
    model: MoveClassifier
    trainer: FitTrainer

    def __init__(self, args: list[str]):
        silence_chatter()
        super().__init__(
            MoveClassifier,
            PhotoDataModule,
            save_config_callback=_SaveConfig,
            trainer_class=FitTrainer,
            parser_class=_Parser,
            parser_kwargs={
                "prog": "bball fit",
                "parser_mode": _MODE,
                "default_config_files": [str(project.CONFIGS / "fit.yaml")],
                "description": "Fine-tune a classifier on a folder of photos, and test its best checkpoint.",
                "usage": "%(prog)s [--config NAME] [--seeds N] [--resume RUN] [--GROUP.OPTION VALUE ...]",
            },
            args=args,
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what belongs to the run as a whole."""
        options: tuple[tuple[str, Any, Any], ...] = (
            ("name", str, "moves"),
            ("seed_everything", int, SEED),
            ("ckpt_path", str | None, None),
        )
        for name, kind, default in options:
            parser.add_argument(f"--{name}", type=kind, default=default, help=RUN_OPTIONS[name])
        # A flag that takes a value as well: --pictures, --no-pictures, --pictures false.
        parser.add_argument("--pictures", action=ActionYesNo, nargs="?", default=True, help=RUN_OPTIONS["pictures"])

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the arguments; Lightning would warn about the command line of the process."""
        for word in args:
            if word.startswith("--config=") and (path := Path(word.removeprefix("--config="))).is_file():
                refuse_repeated_keys(path)
        self.config = parser.parse_args(args)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link what data and model must agree on, so that it is given once."""
        parser.link_arguments("seed_everything", "data.seed")
        parser.link_arguments("seed_everything", "model.seed")
        parser.link_arguments(
            ("model.backbone", "model.image_size", "model.fit", "model.mean", "model.std"),
            "data.spec",
            compute_fn=_spec,
        )
        parser.link_arguments("data.class_names", "model.class_names", apply_on="instantiate")

    def before_instantiate_classes(self) -> None:
        """Make paths absolute: config.yaml and the command that resumes must work from any folder."""
        for group, name in (("data", "root"), ("data", "cache_dir"), ("trainer", "default_root_dir")):
            value = self.config[group][name]
            if value is not None:
                self.config[group][name] = str(home_path(value).absolute())
        weights = home_path(self.config["model"]["weights"])
        if weights.is_file():
            self.config["model"]["weights"] = str(weights.absolute())
        if self.config["data"]["court"] == "auto":
            # Scenes are for weights that know what a scene's people and balls stand for: ImageNet's tell photo from
            # rendering instead. Here, because the datamodule knows no weights; a run's record then has the number.
            model = self.config["model"]
            if chosen_weights(model["backbone"], model["weights"], [move.name for move in MOVES]) != "court":
                self.config["data"]["court"] = 0
        if self.config["ckpt_path"] is not None:
            self.config["ckpt_path"] = str(home_path(self.config["ckpt_path"]).absolute())

    def instantiate_classes(self) -> None:
        """Build datamodule, classifier and trainer; the weights of a resumed run come from its checkpoint alone."""
        weights = self.config["model"]["weights"]
        checkpoint = self.config["ckpt_path"]
        # What the run started from may be a file that is gone, or on a hub that cannot be reached now.
        self._started_from = weights
        if checkpoint is not None:
            self.config["model"]["weights"] = "none"
        super().instantiate_classes()
        if checkpoint is not None:
            saved = read_checkpoint(checkpoint)
            backbone = saved["hyper_parameters"]["backbone"]
            if is_twin(backbone) and not is_twin(self.model.backbone):
                # The run's own settings name one body; its probe chose two.
                self.model.use(self.model.widened("none"), backbone)
            require_resumable(saved, checkpoint, self.model)

    def instantiate_trainer(self, **kwargs: Any) -> FitTrainer:
        """Build the trainer with the run's folder, logger and callbacks."""
        self.config["model"]["weights"] = self.model.hparams["weights"] = self._started_from
        options = self.config_init["trainer"]
        check_options(options)
        root = Path(options["default_root_dir"] or project.ROOT)
        checkpoint = self.config_init["ckpt_path"]
        if options.get("logger") is False and options["default_root_dir"] is None:
            raise ConfigError(
                "without a logger there is no run folder, and the results would lie in the project's folder. "
                "Pass --trainer.default_root_dir DIR as well"
            )
        if options.get("logger") is None:
            kwargs["logger"] = _logger(root, self.config_init["name"], checkpoint)
        kwargs["default_root_dir"] = str(root)
        extra = [*(options.get("callbacks") or []), *self._callbacks(options)]
        self.config_init["trainer"]["callbacks"] = extra
        return cast(FitTrainer, super().instantiate_trainer(**kwargs))

    def _callbacks(self, options: Any) -> list[Callback]:
        callbacks: list[Callback] = [DataRecord(), Throughput(), ProgressLines(), FiniteLoss()]
        if options.get("logger") is not False and self.config_init["pictures"]:
            callbacks.append(Pictures())
        if options.get("enable_progress_bar") is not False:
            callbacks.append(FitProgressBar())
        if options.get("enable_checkpointing") is not False:
            # Without checkpoints there is nothing to save, and Lightning would count these as checkpoints.
            callbacks += [KeepBest(), KeepLast(), GracefulStop()]
        return callbacks

    def check_photos(self) -> None:
        """Find out what is wrong with the photos before the trainer starts anything.

        Raises:
            DatasetError: as `PhotoDataModule.prepare_data`.
            ConfigError: if batch norm cannot be trained on batches of one photo.
        """
        self.datamodule.prepare_data()
        self.model.check_batches(self.datamodule.smallest_batch(self.trainer.world_size))

    def how_to_resume(self, stop: FitInterrupted) -> str:
        """Return the sentence that tells a user how to go on with a run that has saved itself."""
        if stop.checkpoint is None:
            return f"{stop}; the run keeps no checkpoints (--trainer.enable_checkpointing false), so nothing was saved"
        return f"{stop}; saved. Resume with:\n  {launched_step('fit', '--resume', stop.checkpoint.parents[1])}"

    def how_to_go_on(self) -> str | None:
        """Return the sentence for a run that was stopped at once, or None if it has no checkpoint."""
        folder = checkpoint_folder(self.trainer)
        if folder is None or not (folder / project.LAST).is_file():
            return None
        return f"Resume with:\n  {launched_step('fit', '--resume', folder.parent)}"

    @rank_zero_only
    def log_final(self, final: Mapping[str, Any], metrics: dict[str, Any] | None) -> None:
        """Put the settings beside the final figures in TensorBoard's HPARAMS page.

        Args:
            final: the figures of the last epoch, by their names in TensorBoard. The page takes them from the curves.
            metrics: the test figures of `compute_metrics`, or None if there were no test photos.
        """
        curves = {name: float(value) for name, value in final.items() if name in _FINAL}
        settings = {f"model/{name}": value for name, value in self.config["model"].items()}
        settings |= {f"data/{name}": self.config["data"][name] for name in ("augment", "batch_size", "root")}
        settings["max_epochs"] = self.config["trainer"]["max_epochs"]
        columns: dict[str, str | float] = {name: str(value) for name, value in settings.items()}
        if metrics is not None:
            # As columns and not as metrics of that page, which TensorBoard draws as curves of one point each.
            columns |= {"test/acc": metrics["accuracy"], "test/f1": metrics["macro_f1"], "test/loss": metrics["nll"]}
        for logger in self.trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(columns)
                writer = logger.experiment._get_file_writer()
                for summary in hparams(columns, curves):
                    writer.add_summary(summary)
                logger.finalize("success")


def _spec(*settings: Any) -> dict[str, Any]:
    return spec_for(*settings).to_dict()


def _logger(root: Path, name: str, checkpoint: str | None) -> TensorBoardLogger:
    run = None
    if checkpoint is not None:
        if not Path(checkpoint).is_file():
            raise RunError(f"--ckpt_path {checkpoint}: there is no such file; pass a last.ckpt of a run")
        run = project.run_of_checkpoint(checkpoint)
        if run is None:
            raise RunError(
                f"--ckpt_path {checkpoint} does not lie in its run's folder (…/version_N/{project.CHECKPOINTS}/). "
                "Resume it there, or start a new run from its weights with --model.weights FILE"
            )
    if run is not None:
        # The curves of a resumed run go on where they stopped.
        return TensorBoardLogger(run.parent.parent, name=run.parent.name, version=run.name, default_hp_metric=False)
    return _RunLogger(root / project.LOGS, name)
