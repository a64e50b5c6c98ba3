"""The command line of `fit`: LightningCLI with this project's links, defaults and callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from jsonargparse import ActionYesNo, Namespace
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from bball_pl import project
from bball_pl.cli import ErrorsInOneLine
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.errors import ConfigError, RunError
from bball_pl.model.checkpoints import DataRecord, FitInterrupted, GracefulStop, KeepLast
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.epoch_pictures import Pictures
from bball_pl.model.fit_help import RUN_OPTIONS
from bball_pl.model.network import spec_for
from bball_pl.model.trainer import FitProgressBar, FitTrainer, Throughput, silence_chatter

#: The figures of the last epoch that stand beside the settings.
_FINAL = ("val/loss", "val/acc", "val/f1", "gap/loss", "gap/acc", "train/loss_epoch")


class _SaveConfig(SaveConfigCallback):
    """Writes `config.yaml` such that it repeats the whole run, also after the run was stopped and resumed."""

    def __init__(self, parser: LightningArgumentParser, config: Namespace, **kwargs: Any) -> None:
        whole = config.clone()
        whole["ckpt_path"] = None
        super().__init__(parser, whole, **kwargs)


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
            # A resumed run goes on in its folder and writes the same configuration again.
            save_config_kwargs={"overwrite": True},
            trainer_class=FitTrainer,
            parser_class=_Parser,
            parser_kwargs={
                "prog": "bball fit",
                "default_config_files": [str(project.CONFIGS / "fit.yaml")],
                "description": "Fine-tune a classifier on a folder of photos, and test its best checkpoint.",
                "usage": "%(prog)s [--config NAME] [--GROUP.OPTION VALUE ...]",
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
            ("seed_everything", int, 7),
            ("ckpt_path", str | None, None),
        )
        for name, kind, default in options:
            parser.add_argument(f"--{name}", type=kind, default=default, help=RUN_OPTIONS[name])
        # A flag that takes a value as well: --pictures, --no-pictures, --pictures false.
        parser.add_argument("--pictures", action=ActionYesNo, nargs="?", default=True, help=RUN_OPTIONS["pictures"])

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the arguments; Lightning would warn about the command line of the process."""
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
                self.config[group][name] = str(Path(value).absolute())
        weights = Path(self.config["model"]["weights"])
        if weights.is_file():
            self.config["model"]["weights"] = str(weights.absolute())
        if self.config["ckpt_path"] is not None:
            self.config["ckpt_path"] = str(Path(self.config["ckpt_path"]).absolute())

    def instantiate_trainer(self, **kwargs: Any) -> FitTrainer:
        """Build the trainer with the run's folder, logger and callbacks."""
        options = self.config_init["trainer"]
        root = Path(options["default_root_dir"] or project.ROOT)
        checkpoint = self.config_init["ckpt_path"]
        if options.get("logger") is False and options["default_root_dir"] is None:
            raise ConfigError(
                "without a logger there is no run folder, and the results would lie in the project's folder. "
                "Pass --trainer.default_root_dir DIR as well"
            )
        limit = options.get("limit_test_batches")
        if limit is not None and not (isinstance(limit, float) and limit == 1):  # the integer 1 is one batch
            raise ConfigError(
                f"--trainer.limit_test_batches is {limit}: metrics.json is of all test photos. "
                "Leave it out, and point --data.root to a smaller dataset for a trial"
            )
        if options.get("logger") is None:
            kwargs["logger"] = _logger(root, self.config_init["name"], checkpoint)
        kwargs["default_root_dir"] = str(root)
        extra = [*(options.get("callbacks") or []), *self._callbacks(options)]
        self.config_init["trainer"]["callbacks"] = extra
        return cast(FitTrainer, super().instantiate_trainer(**kwargs))

    def _callbacks(self, options: Any) -> list[Callback]:
        callbacks: list[Callback] = [DataRecord(), Throughput()]
        if options.get("logger") is not False:
            callbacks.append(LearningRateMonitor("step"))
            if self.config_init["pictures"]:
                callbacks.append(Pictures())
        if options.get("enable_progress_bar") is not False:
            callbacks.append(FitProgressBar())
        if options.get("enable_checkpointing") is not False:
            callbacks.append(
                ModelCheckpoint(
                    filename=Path(project.BEST).stem,
                    monitor="val/loss",
                    mode="min",
                    # One best.ckpt, replaced; Lightning would number them otherwise.
                    enable_version_counter=False,
                )
            )
            # Without checkpoints there is nothing to save, and Lightning would count these two as checkpoints.
            callbacks += [KeepLast(), GracefulStop()]
        return callbacks

    def how_to_resume(self, stop: FitInterrupted) -> str:
        """Return the sentence that tells an interrupted user how to go on."""
        if stop.checkpoint is None:
            return f"{stop}; the run keeps no checkpoints (--trainer.enable_checkpointing false), so nothing was saved"
        run = project.run_of_checkpoint(stop.checkpoint)
        words = ["--config", run / project.CONFIG] if run is not None else []
        return f"{stop}; saved. Resume with:\n  {project.next_step('fit', *words, '--ckpt_path', stop.checkpoint)}"

    @rank_zero_only
    def log_final(self, final: Mapping[str, Any], metrics: dict[str, Any] | None) -> None:
        """Put the settings beside the final figures in TensorBoard's HPARAMS page.

        Args:
            final: the figures of the last epoch, by their names in TensorBoard.
            metrics: the test figures of `compute_metrics`, or None if there were no test photos.
        """
        figures = {name: float(value) for name, value in final.items() if name in _FINAL}
        if metrics is not None:
            figures |= {"test/acc": metrics["accuracy"], "test/f1": metrics["macro_f1"], "test/loss": metrics["nll"]}
        # Under separate names: TensorBoard writes them as points at step 0, which no curve should have.
        figures = {f"final/{name}": value for name, value in figures.items()}
        settings = {f"model/{name}": value for name, value in self.config["model"].items()}
        settings |= {f"data/{name}": self.config["data"][name] for name in ("augment", "batch_size", "root")}
        settings["max_epochs"] = self.config["trainer"]["max_epochs"]
        for logger in self.trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams({name: str(value) for name, value in settings.items()}, figures)
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
    return TensorBoardLogger(root / project.LOGS, name=name, default_hp_metric=False)
