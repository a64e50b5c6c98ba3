"""Formats of an export: each is written, read back from disk and compared with the trained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bball_pl.export.coreml import Form, remove_file_or_package, write_compressed, write_coreml
from bball_pl.export.metadata import About, Interface
from bball_pl.export.onnx import DeployModel, write_onnx
from bball_pl.export.options import Compression, Compute, ExportSettings, Target
from bball_pl.verify.executors.mil_program import MilProgram
from bball_pl.verify.executors.neuralnetwork import NeuralNetwork
from bball_pl.verify.inspection import Expected, Gate, inspect_coreml, inspect_onnx
from bball_pl.verify.parity import (
    ACCURACY_GATE,
    ACCURACY_LIMIT,
    COMPRESSED_ACCURACY_LIMIT,
    FP16_LIMIT,
    FP32_LIMIT,
    FileParity,
    Reference,
    batch_gate,
    compare_file,
    compression_gates,
    rounding_gate,
)
from bball_pl.verify.runners import CoreAIRunner, CoreMLRunner, OnnxRunner, Runner

#: Stem of every exported file: the name that an app's code sees.
STEM = "BasketballMoves"


@dataclass
class Export:
    """A finished export.

    Attributes:
        folder: the export folder.
        files: comparison of each file with the trained model.
        photos: number of photos that it was verified on.
        about: the facts that every file carries.
        interface: names of features and labels.
        refused: compressed copies that lost too much and were left out.
        pixels: conditions on decoding and resizing, by a second library.
    """

    folder: Path
    files: list[FileParity]
    photos: int
    about: About
    interface: Interface
    refused: list[FileParity] = field(default_factory=list)
    pixels: list[Gate] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every file that is in the folder is proven, on pixels that two libraries agree on."""
        return all(file.passed for file in self.files) and all(gate.passed for gate in self.pixels)


#: Files without newer layers still get the version of iOS 13; a vision transformer needs 14.
NEURAL_NETWORK_TARGET: Target = "iOS14"
_CORE_AI_PHOTOS = 12


@dataclass
class VerifiedFiles:
    """The files of one export under construction.

    Attributes:
        folder: the folder that they are written to.
        model: the network that is exported.
        interface: names of features and labels.
        about: the facts.
        reference: the trained model's answers to test photos.
        settings: options of the export.
        console: for progress.
        files: comparison of each written file with the trained model.
        refused: compressed copies that lost too much and were removed.
        written: text fields of the files that are expected as they were written, whatever holds now.
    """

    folder: Path
    model: DeployModel
    interface: Interface
    about: About
    reference: Reference
    settings: ExportSettings
    console: Console
    files: list[FileParity] = field(default_factory=list)
    refused: list[FileParity] = field(default_factory=list)
    written: Mapping[str, str] = field(default_factory=dict)

    def write(self) -> None:
        """Write and verify every requested format."""
        if "onnx" in self.settings.formats:
            path = self._say("ONNX", self._onnx_file)
            write_onnx(self.model, path, self.interface, self.about)
            self.check(path)
        if "mlpackage" in self.settings.formats:
            program = self.write_program()
            self.check(program)
            for compression in self.settings.compress:
                self._compressed(program, compression)
        if "mlmodel" in self.settings.formats:
            path = self._say("NeuralNetwork", self.folder / f"{STEM}.mlmodel")
            self._write(path, "neuralnetwork", NEURAL_NETWORK_TARGET, "fp32")
            self.check(path)
        if "aimodel" in self.settings.formats:
            from bball_pl.export.coreai import write_coreai

            path = self._say("Core AI (beta)", self.folder / f"{STEM}.aimodel")
            write_coreai(self.model, path, self.interface, self.about)
            self.check(path)

    def write_program(self) -> Path:
        """Write the ML Program and return its path."""
        path = self._say("ML Program", self.folder / f"{STEM}.mlpackage")
        self._write(path, "mlprogram", self.settings.target, self.settings.compute)
        return path

    def check(self, path: Path) -> None:
        """Read a file back from disk, compare it with the trained model, and append the comparison to `files`.

        Args:
            path: an .onnx, .mlpackage, .mlmodel or .aimodel, not a compressed copy.

        Raises:
            VerificationError: if the file cannot be read or run.
        """
        checks = {
            ".onnx": self._check_onnx,
            ".mlpackage": self._check_program,
            ".mlmodel": self._check_neural_network,
            ".aimodel": self._check_core_ai,
        }
        self.files.append(checks[path.suffix](path))
        if path.suffix in (".mlpackage", ".mlmodel") and CoreMLRunner.available():
            # On a Mac, in Apple's runtime as well.
            self.files.append(self._compare(path, CoreMLRunner(path), "Core ML, Mac", None))

    @property
    def _onnx_file(self) -> Path:
        return self.folder / f"{STEM}.onnx"

    def _check_onnx(self, path: Path) -> FileParity:
        runner = OnnxRunner(path)
        parity = self._compare(path, runner, "onnxruntime", FP32_LIMIT)
        parity.gates.append(batch_gate(runner, self.reference))
        parity.gates.extend(inspect_onnx(path, self._expected("onnx", "")))
        return parity

    def _check_program(self, path: Path) -> FileParity:
        settings = self.settings
        exact = settings.compute == "fp32"
        runner = MilProgram(path, settings.compute)
        limit = FP32_LIMIT if exact else FP16_LIMIT
        parity = self._compare(path, runner, f"executor {settings.compute}", limit)
        if not exact:
            # Proven in two steps, because rounding to 16 bits hides small faults: the network's 32-bit program answers
            # as the trained model, and the shipped program is that one with its constants rounded.
            precise = self.folder / ".precise.mlpackage"
            self._write(precise, "mlprogram", settings.target, "fp32")
            checked = self._compare(precise, MilProgram(precise), "executor fp32", FP32_LIMIT)
            gate = next(gate for gate in checked.gates if gate.name == "largest difference")
            parity.gates.append(Gate("largest difference in 32 bits", gate.found, gate.expected, gate.passed))
            parity.gates.append(rounding_gate(path, precise, self.reference))
            remove_file_or_package(precise)
        parity.gates.extend(inspect_coreml(path, self._expected("mlprogram", settings.target)))
        return parity

    def _compressed(self, program: Path, compression: Compression) -> None:
        path = self._say(compression, self.folder / f"{STEM}-{compression}.mlpackage")
        write_compressed(program, path, compression, self.interface, self.about)
        parity = self.check_compressed(path, program, compression)
        if not parity.passed and not self.settings.force:
            remove_file_or_package(path)
            self.refused.append(parity)
            return
        self.files.append(parity)

    def check_compressed(self, path: Path, program: Path, compression: Compression) -> FileParity:
        """Compare a compressed copy with the trained model, and with the program that it is a copy of.

        Raises:
            VerificationError: if a file cannot be read or run.
        """
        parity = self._compare(path, MilProgram(path, "fp16"), "executor fp16", None, COMPRESSED_ACCURACY_LIMIT)
        # Compression may change answers; the limit is on accuracy.
        kept = [gate for gate in parity.gates if not gate.name.startswith("same answers")]
        kept += compression_gates(path, program, compression)
        kept += inspect_coreml(path, self._expected("mlprogram", self.settings.target))
        if self.settings.force:
            kept = [
                replace(gate, expected=f"{gate.expected} (forced)", passed=True) if gate.name == ACCURACY_GATE else gate
                for gate in kept
            ]
        parity.gates[:] = kept
        return parity

    def _check_neural_network(self, path: Path) -> FileParity:
        parity = self._compare(path, NeuralNetwork(path), "executor fp32", FP32_LIMIT)
        parity.gates.extend(inspect_coreml(path, self._expected("neuralnetwork", NEURAL_NETWORK_TARGET)))
        return parity

    def _check_core_ai(self, path: Path) -> FileParity:
        runner = CoreAIRunner(path)
        try:
            # Apple's runtime takes seconds for a photo on Linux.
            return self._compare(path, runner, "Core AI", FP32_LIMIT, reference=self.reference.first(_CORE_AI_PHOTOS))
        finally:
            runner.close()

    def _write(self, path: Path, form: Form, target: Target, compute: Compute) -> None:
        onnx_file = self._onnx_file if self.settings.route == "onnx" else None
        write_coreml(
            self.model, path, self.interface, self.about, form, target, self.settings.route, compute, onnx_file
        )

    def _compare(
        self,
        path: Path,
        runner: Runner,
        engine: str,
        difference_limit: float | None,
        accuracy_limit: float = ACCURACY_LIMIT,
        reference: Reference | None = None,
    ) -> FileParity:
        reference = reference or self.reference
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(f"  {engine}", total=len(reference.photos))
            return compare_file(
                path,
                runner,
                reference,
                self.interface.labels,
                engine=engine,
                difference_limit=difference_limit,
                accuracy_limit=accuracy_limit,
                progress=lambda: progress.advance(task),
            )

    def _expected(self, form: Literal["onnx", "mlprogram", "neuralnetwork"], target: str) -> Expected:
        about, interface = self.about, self.interface
        fields = {**about.user_defined(), **self.written}
        main = {"author": about.author, "licence": about.licence, "description": about.description}
        return Expected(
            class_names=interface.labels,
            size=about.spec.size,
            input_name=interface.image,
            label_output=interface.label,
            probabilities_output=interface.probabilities,
            target=target,
            format=form,
            metadata={**main, "version": fields["bball_pl.version"], **fields},
        )

    def _say(self, what: str, path: Path) -> Path:
        self.console.print(f"{what}: converting, reading back, comparing …", highlight=False, markup=False)
        return path
