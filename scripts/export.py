"""Write a checkpoint as ONNX and Core ML files, and prove here that each answers as the trained model does.

python scripts/export.py                                       # newest run, best checkpoint, all formats
python scripts/export.py --run lightning_logs/demo/version_0 --formats "[mlpackage]" --compress "[int8,palette6]"
python scripts/export.py --interface seed_2018                 # names and labels of the app of 2018
python scripts/export.py --ios true                            # and into the app of ios/
python scripts/export.py --inspect exports/demo/BasketballMoves.mlpackage

Every option: python scripts/export.py --help
"""

from __future__ import annotations

import sys
from pathlib import Path

from jsonargparse import auto_cli
from rich.console import Console

from bball_pl import project
from bball_pl.errors import ConfigError, exit_on_error
from bball_pl.evaluate.trained_model import TrainedModel
from bball_pl.export.compress import Compression
from bball_pl.export.coreml import Compute, Route, Target
from bball_pl.export.export import export_model, export_summary
from bball_pl.export.formats import ExportSettings, Format
from bball_pl.export.metadata import InterfaceName, Labels

#: Exit status of an export that is not proven: 1 is a fault of the program, 2 of what was typed.
NOT_PROVEN = 3


def export(
    run: Path | None = None,
    ckpt: Path | None = None,
    name: str | None = None,
    out: Path = project.ROOT / "exports",
    formats: list[Format] | None = None,
    target: Target = "iOS16",
    route: Route = "trace",
    compute: Compute = "fp16",
    interface: InterfaceName = "default",
    labels: Labels = "name",
    compress: list[Compression] | None = None,
    force: bool = False,
    photos: int = 60,
    root: Path | None = None,
    author: str = "not stated",
    licence: str = "not stated",
    description: str = "Says which basketball move a photo shows.",
    ios: bool = False,
    inspect: Path | None = None,
) -> None:
    """Write a checkpoint as ONNX and Core ML files, and prove here that each answers as the trained model does.

    Args:
        run: folder of a run, whose best checkpoint is exported; the newest run unless given.
        ckpt: a checkpoint instead of a run.
        name: of the export's folder; the run's experiment unless given.
        out: where the folder is made.
        formats: onnx, mlpackage (ML Program) and mlmodel (NeuralNetwork for iOS 13 and 14) unless given; aimodel
            (Core AI for iOS 27) is beta and needs the extra coreai.
        target: oldest system for the ML Program, iOS15 to iOS26.
        route: from torch to Core ML: trace, export (torch.export) or onnx (from the ONNX file).
        compute: fp16 or fp32 arithmetic and weights of the ML Program.
        interface: names of inputs, outputs and labels; seed_2018 is for the app of 2018.
        labels: name (shoot) or bilingual (shoot 投籃).
        compress: compressed copies of the ML Program: int8, palette8, palette6, palette4.
        force: keep a compressed copy even if it loses more than a point of accuracy.
        photos: number of test photos to prove it on; 0 takes all.
        root: dataset with the test photos; the run's own unless given.
        author: who trained the model, for the file's metadata.
        licence: under which it may be used, likewise.
        description: one sentence, likewise.
        ios: put the proven ML Program and its contract into the app of ios/ as well.
        inspect: print what is in a .onnx, .mlpackage or .mlmodel file instead.
    """
    console = Console()
    if inspect is not None:
        from bball_pl.verify.describe import describe

        console.print(describe(inspect))
        return
    if run is not None and ckpt is not None:
        raise ConfigError("--run and --ckpt were both given; a checkpoint is enough")
    if ios and formats is not None and "mlpackage" not in formats:
        raise ConfigError("--ios puts the ML Program into the app; add mlpackage to --formats")
    model = TrainedModel.open(ckpt or run, device="cpu")
    folder = name or (model.run.parent.name if model.run is not None else model.checkpoint.stem)
    if Path(folder).name != folder or folder in {".", ".."}:
        raise ConfigError(f"--name {folder!r} is not a folder's name; use --out DIR for the place")
    settings = ExportSettings(
        formats=formats if formats is not None else ("onnx", "mlpackage", "mlmodel"),
        target=target,
        route=route,
        compute=compute,
        interface=interface,
        labels=labels,
        compress=compress or (),
        force=force,
        photos=photos,
        author=author,
        licence=licence,
        description=description,
    )
    result = export_model(model, out.absolute() / folder, settings, root)
    console.print(export_summary(result))
    console.print(f"export: {result.folder}", soft_wrap=True, highlight=False, markup=False)
    if not result.passed:
        print("error: the export is not proven: see the lines above", file=sys.stderr)
        sys.exit(NOT_PROVEN)
    if ios:
        from bball_pl.export.ios import install_in_app

        app = install_in_app(result.folder, result.about, result.interface)
        console.print(f"app: {app}", soft_wrap=True, highlight=False, markup=False)


if __name__ == "__main__":
    with exit_on_error():
        auto_cli(export, as_positional=False)
