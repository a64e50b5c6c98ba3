"""Fine-tune a classifier on a folder of photos, and test its best checkpoint.

python scripts/fit.py --config configs/demo.yaml                     # the demo court, no hub needed
python scripts/fit.py --data.root data/photos                        # inception_v3, weights from timm's hub
python scripts/fit.py --trainer.devices 2 --trainer.strategy ddp     # two GPUs

Every option: python scripts/fit.py --help
"""

import sys
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from bball_pl import project
from bball_pl.errors import exit_on_error
from bball_pl.evaluate.results import show_results, write_results
from bball_pl.model.checkpoints import FitInterrupted, model_checkpoint
from bball_pl.model.classifier import MoveClassifier
from bball_pl.model.fit_cli import FitCLI


def main() -> None:
    """Parse, fit, test the best checkpoint, say what was made."""
    cli = FitCLI()
    data, trainer = cli.datamodule, cli.trainer
    # Before the trainer starts anything: whatever is wrong with the photos ends the run here.
    rank_zero_only(data.prepare_data)()
    try:
        trainer.fit(cli.model, data, ckpt_path=cli.config.ckpt_path, weights_only=True)
    except FitInterrupted as stop:
        if trainer.is_global_zero:
            print(cli.how_to_resume(stop), file=sys.stderr)
        sys.exit(128 + stop.signum)
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        return
    run = Path(trainer.log_dir or trainer.default_root_dir)
    # Without checkpoints the weights of the end are the best there are.
    best = MoveClassifier.from_checkpoint(project.best_checkpoint(run)) if model_checkpoint(trainer) else cli.model
    final = dict(trainer.callback_metrics)  # testing forgets them
    metrics = None
    if data.photos["test"]:
        trainer.test(best, data, verbose=False)
        metrics = write_results(run, "test", data.photos["test"], best.outcomes["test"], best.class_names)
    cli.log_final(final, metrics)
    show_results(run, metrics)


if __name__ == "__main__":
    with exit_on_error():
        main()
