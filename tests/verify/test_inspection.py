"""What can be seen in a file without running it: every check passes on right files and fails on its own fault alone."""

from __future__ import annotations

import copy
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as cto
import onnx
import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from bball_pl.errors import VerificationError
from bball_pl.export.coreml import finish, write_coreml
from bball_pl.export.metadata import About, interface_for
from bball_pl.export.onnx import DeployModel, write_onnx
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.verify.describe import describe
from bball_pl.verify.graph import onnx_graph
from bball_pl.verify.inspection import Expected, Gate, inspect_coreml, inspect_onnx
from bball_pl.verify.runners import quietly

from helpers.mil_programs import NAMES, sane_network

SIZE = 48
INTERFACE = interface_for(NAMES)
FORMS = {".mlpackage": "mlprogram", ".mlmodel": "neuralnetwork", ".onnx": "onnx"}
TARGETS = {"mlprogram": "iOS16", "neuralnetwork": "iOS14", "onnx": ""}

#: The facts that every file states.
ABOUT = About(
    *("A. Coach", "MIT", "球 moves", NAMES, PreprocessSpec(SIZE), "test_resnet", 1.3, 0.6, "", "", None, "0" * 64)
)

Change = Callable[[Any], object]


@dataclass(frozen=True)
class Right:
    """A small network, its facts, and a right file of it in each format."""

    network: DeployModel
    about: About
    files: dict[str, Path]

    def model(self) -> DeployModel:
        """Return the network, to be changed."""
        return copy.deepcopy(self.network)


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Right:
    folder = tmp_path_factory.mktemp("right")
    model = sane_network("test_resnet", SIZE)
    # A smaller one in its place: each file takes a conversion, whose time grows with the layers.
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for channels in (3, 8, 8, 8):
        layers += [nn.Conv2d(channels, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    network: Any = nn.Sequential(
        *layers[:3], nn.MaxPool2d(2), *layers[3:], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )
    model.network = network.eval()
    return Right(model, ABOUT, {form: write(folder / f"right{suffix}", model, ABOUT) for suffix, form in FORMS.items()})


def write(path: Path, model: DeployModel, about: About) -> Path:
    form: Any = FORMS[path.suffix]
    if form == "onnx":
        return write_onnx(model, path, INTERFACE, about)
    target: Any = TARGETS[form]
    return write_coreml(model, path, INTERFACE, about, form, target)


def texts(about: About) -> dict[str, str]:
    """Return every text field of a right file."""
    fields = about.user_defined()
    main = {"author": about.author, "licence": about.licence, "description": about.description}
    return {**main, "version": fields["bball_pl.version"], **fields}


def expected(form: Any, **changes: Any) -> Expected:
    whole = Expected(NAMES, SIZE, "image", "classLabel", "probabilities", TARGETS[form], form, texts(ABOUT))
    return replace(whole, **changes)


def inspect(path: Path, wanted: Expected | None = None) -> list[Gate]:
    form = FORMS[path.suffix]
    return (inspect_onnx if form == "onnx" else inspect_coreml)(path, wanted or expected(form))


def failed(findings: Sequence[Gate]) -> list[str]:
    return [finding.name for finding in findings if not finding.passed]


def changed(path: Path, folder: Path, change: Change) -> Path:
    """Return a copy of a Core ML or ONNX file whose message was changed."""
    target = folder / path.name
    if path.suffix == ".onnx":
        model = onnx.load(path)
        change(model)
        target.write_bytes(model.SerializeToString())
        return target
    spec = ct.utils.load_spec(str(path))
    change(spec)
    if path.is_dir():
        weights = path / "Data" / "com.apple.CoreML" / "weights"
        ct.models.MLModel(spec, weights_dir=str(weights), skip_model_load=True).save(str(target))
    else:
        target.write_bytes(spec.SerializeToString())
    return target


@pytest.fixture(params=["mlprogram", "neuralnetwork"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=list(FORMS))
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# --- right files ---------------------------------------------------------------------------------------------------


def test_right_files_pass_every_check(right: Right) -> None:
    for form, path in right.files.items():
        findings = inspect(path)
        assert failed(findings) == [], form
        names = [finding.name for finding in findings]
        assert len(set(names)) == len(names) >= 11
        assert all(finding.found and finding.expected for finding in findings)


class SqueezeExcite(nn.Module):
    """Squeeze and excite: a mean over height and width that comes back as a factor."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.mix(x.mean((2, 3), keepdim=True)).sigmoid()
        return y


class Channels(nn.Module):
    """Layer norm along channels, as convnext has it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return y


class Branches(nn.Module):
    """Batch norms that cannot be folded: one of two users of a convolution, and one after an activation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)
        self.one, self.other = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.convolution(x)
        z: Tensor = self.one(y) * y + self.other(torch.relu(y))
        return z


class Attention(nn.Module):
    """Tokens, with layer norm and softmax within the network."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        shares = (tokens @ tokens.transpose(1, 2) / 10).softmax(-1)
        y: Tensor = (shares @ tokens).mean(1)
        return y


def test_what_only_looks_like_training_passes(right: Right, tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    model = right.model()
    network: Any = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=4),
        nn.BatchNorm2d(8),
        Branches(8),
        SqueezeExcite(8),
        Channels(8),
        Attention(8),
        nn.Linear(8, 3),
    )
    model.network = network.eval()
    assert failed(inspect(write(tmp_path / f"odd{suffix}", model, right.about))) == []


# --- faults of the description ------------------------------------------------------------------------------------


def _rename(spec: Any) -> None:
    ct.utils.rename_feature(spec, "probabilities", "confidence")


def _image(**values: Any) -> Change:
    def change(spec: Any) -> None:
        for name, value in values.items():
            setattr(spec.description.input[0].type.imageType, name, value)

    return change


def _flexible(spec: Any) -> None:
    spec.description.input[0].type.imageType.imageSizeRange.widthRange.lowerBound = 1


def _array(spec: Any) -> None:
    spec.description.input[0].type.multiArrayType.shape.extend([1, 3, SIZE, SIZE])


def _predicted(spec: Any) -> None:
    spec.description.predictedProbabilitiesName = "classLabel"


def _by_number(spec: Any) -> None:
    (answer,) = (feature for feature in spec.description.output if feature.name == "probabilities")
    answer.type.dictionaryType.int64KeyType.MergeFromString(b"")


def _author(spec: Any) -> None:
    spec.description.metadata.author = ""


def _no_preview(spec: Any) -> None:
    del spec.description.metadata.userDefined["com.apple.coreml.model.preview.type"]


def _version(spec: Any) -> None:
    spec.specificationVersion = 8


@pytest.mark.parametrize(
    ("change", "check", "found"),
    [
        (_version, "target", "version 8"),
        (_rename, "features", "confidence (dictionary by string)"),
        (_by_number, "features", "dictionary by int64"),
        (_array, "features", "image (multiArray)"),
        (_image(width=64), "image size", "64 × 48"),
        (_flexible, "image size", "others"),
        (_image(colorSpace=ct.proto.FeatureTypes_pb2.ImageFeatureType.BGR), "image colour", "BGR"),
        (_predicted, "predicted features", "classLabel, classLabel"),
        (_author, "metadata", "no author"),
        (_no_preview, "preview type", "none"),
    ],
)
def test_a_wrong_description(right: Right, tmp_path: Path, form: str, change: Change, check: str, found: str) -> None:
    findings = inspect(changed(right.files[form], tmp_path, change))
    assert failed(findings) == [check]
    assert any(found in finding.found for finding in findings if finding.name == check)


def test_another_format_is_all_that_is_said(right: Right, form: str) -> None:
    other: Any = "neuralnetwork" if form == "mlprogram" else "mlprogram"
    findings = inspect(right.files[form], expected(other))
    assert [(finding.name, finding.passed, finding.found) for finding in findings] == [("format", False, form)]


def test_labels_in_another_order(right: Right, suffix: str) -> None:
    form = FORMS[suffix]
    assert failed(inspect(right.files[form], expected(form, class_names=NAMES[::-1]))) == ["labels"]


def _label_twice(message: Any) -> None:
    if isinstance(message, onnx.ModelProto):
        (field,) = (field for field in message.metadata_props if field.key == "labels")
        field.value = "shoot\nshoot\nlayup"
    elif message.WhichOneof("Type") == "mlProgram":
        main = message.mlProgram.functions["main"]
        (last,) = (one for one in main.block_specializations[main.opset].operations if one.type == "classify")
        items = last.inputs["classes"].arguments[0].value.immediateValue.list.values
        items[1].immediateValue.tensor.strings.values[0] = "shoot"
    else:
        message.neuralNetworkClassifier.stringClassLabels.vector[1] = "shoot"


def test_a_label_twice_is_wrong_even_if_it_was_asked_for(right: Right, tmp_path: Path, suffix: str) -> None:
    form = FORMS[suffix]
    path = changed(right.files[form], tmp_path, _label_twice)
    findings = inspect(path, expected(form, class_names=["shoot", "shoot", "layup"]))
    assert failed(findings) == ["no label twice"]


def test_a_target_that_a_network_does_not_need_in_full(right: Right) -> None:
    path = right.files["neuralnetwork"]
    assert failed(inspect(path, expected("neuralnetwork", target="iOS13"))) == []


def _text(name: str, value: str) -> Change:
    def change(message: Any) -> None:
        if isinstance(message, onnx.ModelProto):
            fields = {field.key: field.value for field in message.metadata_props}
            onnx.helper.set_model_props(message, fields | {name: value})
        else:
            message.description.metadata.userDefined[name] = value

    return change


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bball_pl.fit", "pad"),
        ("bball_pl.classes", '["layup", "dribble", "shoot"]'),
        ("bball_pl.threshold", "0.99"),
        ("bball_pl.test_accuracy", "100 %"),
        ("bball_pl.checkpoint_sha256", "1" * 64),
        ("bball_pl.preprocess", json.dumps(replace(ABOUT.spec, fit="crop").to_dict())),
        ("remark", "not ours"),
    ],
)
def test_a_wrong_value_in_the_metadata(right: Right, tmp_path: Path, suffix: str, name: str, value: str) -> None:
    gates = inspect(changed(right.files[FORMS[suffix]], tmp_path, _text(name, value)))
    assert failed(gates) == ["metadata"]
    assert any(name in gate.found for gate in gates if not gate.passed)


def test_a_network_that_a_phone_may_train(right: Right, tmp_path: Path) -> None:
    def whole(spec: Any) -> None:
        spec.isUpdatable = True

    def layer(spec: Any) -> None:
        next(layer for layer in spec.neuralNetworkClassifier.layers if layer.HasField("convolution")).isUpdatable = True

    for number, change in enumerate((whole, layer)):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert failed(inspect(changed(right.files["neuralnetwork"], folder, change))) == ["updatable on the phone"]


def test_the_image_shape_of_the_first_generation(right: Right, tmp_path: Path) -> None:
    def rank_five(spec: Any) -> None:
        spec.neuralNetworkClassifier.imageInputShapeMapping = 0

    assert failed(inspect(changed(right.files["neuralnetwork"], tmp_path, rank_five))) == ["image's rank"]


@pytest.mark.parametrize("values", [{"channelScale": 1 / 255}, {"redBias": -1}, {"blueBias": 2}])
def test_a_scale_or_bias_outside_of_the_network(right: Right, tmp_path: Path, values: dict[str, float]) -> None:
    def change(spec: Any) -> None:
        for name, value in values.items():
            setattr(spec.neuralNetworkClassifier.preprocessing[0].scaler, name, value)

    findings = inspect(changed(right.files["neuralnetwork"], tmp_path, change))
    assert failed(findings) == ["scale and bias outside"]


# --- faults of the graph ---------------------------------------------------------------------------------------------


def _twice(message: Any) -> None:
    if message.WhichOneof("Type") == "mlProgram":
        main = message.mlProgram.functions["main"]
        operations = main.block_specializations[main.opset].operations
        operations.insert(0, operations[0])
    else:
        layers = message.neuralNetworkClassifier.layers
        layers.insert(0, layers[0])


def test_a_name_that_is_given_twice(right: Right, tmp_path: Path, form: str) -> None:
    assert failed(inspect(changed(right.files[form], tmp_path, _twice))) == ["each name once"]


class Raw(DeployModel):
    """Normalisation is missing."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.softmax(self.network(image) / 1000, dim=1)


class Logits(DeployModel):
    """Softmax is missing."""

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network((image - self.mean) * self.scale)
        return logits


class OverPhotos(DeployModel):
    """Softmax over the photos of a batch instead of its classes: every answer is 1."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.softmax(self.network((image - self.mean) * self.scale), dim=0)


class Logarithms(DeployModel):
    """Logarithms of the probabilities."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.log_softmax(self.network((image - self.mean) * self.scale), dim=1)


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Raw, "normalisation inside"),
        (Logits, "softmax at the end"),
        (OverPhotos, "softmax at the end"),
        (Logarithms, "softmax at the end"),
    ],
)
def test_a_wrong_graph(right: Right, tmp_path: Path, suffix: str, kind: type[DeployModel], check: str) -> None:
    model = right.model()
    model.__class__ = kind
    assert failed(inspect(write(tmp_path / f"wrong{suffix}", model, right.about))) == [check]


def test_a_trace_in_training_mode(right: Right, tmp_path: Path, form: str) -> None:
    model = right.model()
    model.network.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.1  # a plain mean would make every trace another one
    (suffix,) = (suffix for suffix, name in FORMS.items() if name == form)
    findings = inspect(write(tmp_path / f"training{suffix}", model, right.about))
    assert failed(findings) == ["traces of training"]
    (found,) = (finding.found for finding in findings if not finding.passed)
    norms = sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.network.modules())
    assert f"and {norms - 3} more" in found, "every batch norm is seen, and nothing else"


def test_batch_norm_that_was_not_folded(right: Right, tmp_path: Path, form: Any) -> None:
    model = right.model()
    pipeline = ct.PassPipeline.DEFAULT
    pipeline.remove_passes({"common::fuse_conv_batchnorm"})
    (suffix,) = (suffix for suffix, name in FORMS.items() if name == form)
    with quietly(), torch.no_grad():
        converted = ct.convert(
            torch.jit.trace(model, model.example, check_trace=False),
            inputs=[ct.ImageType("image", shape=model.example.shape, color_layout=ct.colorlayout.RGB)],
            classifier_config=ct.ClassifierConfig(list(NAMES), predicted_feature_name="classLabel"),
            convert_to=form,
            minimum_deployment_target=getattr(ct.target, TARGETS[form]),
            pass_pipeline=pipeline,
            skip_model_load=True,
        )
        finish(converted, tmp_path / f"unfolded{suffix}", INTERFACE, right.about)
    assert failed(inspect(tmp_path / f"unfolded{suffix}")) == ["batch norm folded"]


# --- ONNX ----------------------------------------------------------------------------------------------------------


def _domain(model: Any) -> None:
    model.opset_import.add(domain="com.example", version=1)


def _one_photo(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _no_licence(model: Any) -> None:
    fields = {field.key: field.value for field in model.metadata_props if field.key != "licence"}
    onnx.helper.set_model_props(model, fields)


def _loose_end(model: Any) -> None:
    node = next(node for node in model.graph.node if node.op_type == "MaxPool")
    node.input[0] = "nothing"


def _dropout(model: Any) -> None:
    (place,) = (place for place, node in enumerate(model.graph.node) if node.op_type == "Gemm")
    head = model.graph.node[place]
    model.graph.node.insert(place, onnx.helper.make_node("Dropout", [head.input[0]], ["dropped"]))
    model.graph.node[place + 1].input[0] = "dropped"


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (_domain, "opset"),
        (_one_photo, "input"),
        (_no_licence, "metadata"),
        (_loose_end, "ONNX checker"),
        (_dropout, "traces of training"),
    ],
)
def test_a_wrong_onnx_file(right: Right, tmp_path: Path, change: Change, check: str) -> None:
    assert failed(inspect(changed(right.files["onnx"], tmp_path, change))) == [check]


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"size": 64}, "input"),
        ({"input_name": "photo"}, "input"),
        ({"probabilities_output": "confidence"}, "output"),
    ],
)
def test_another_onnx_interface(right: Right, changes: dict[str, Any], check: str) -> None:
    assert failed(inspect(right.files["onnx"], expected("onnx", **changes))) == [check]


def test_weights_in_another_file(right: Right, tmp_path: Path) -> None:
    path = tmp_path / "split.onnx"
    model = onnx.load(right.files["onnx"])
    onnx.save(model, path, save_as_external_data=True, location="split.bin", size_threshold=0)
    assert failed(inspect(path)) == ["single file"]


def test_batch_norm_in_training_mode() -> None:
    def traces(training: int) -> list[str]:
        outputs = ["y", "mean", "variance"][: 3 if training else 1]
        node = onnx.helper.make_node("BatchNormalization", list("xsbmv"), outputs, training_mode=training)
        return onnx_graph(onnx.helper.make_graph([node], "g", [], [])).traces_of_training()

    assert traces(1) == ["y (BatchNormalization)"]
    assert traces(0) == []


# --- files that cannot be read ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_damaged_files(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    for look in (inspect, describe):
        with pytest.raises(VerificationError, match=rf"damaged\{suffix}"):
            look(path)


# --- describe --------------------------------------------------------------------------------------------------------


def said(path: Path) -> str:
    text = io.StringIO()
    Console(file=text, width=80).print(describe(path))
    assert max(len(line) for line in text.getvalue().splitlines()) <= 80
    assert "…" not in text.getvalue(), "nothing is cut off"
    return text.getvalue()


def test_a_description_says_what_an_app_needs(right: Right, suffix: str) -> None:
    text = said(right.files[FORMS[suffix]])
    for word in (f"right{suffix}", "image", "probabilities", *NAMES, "球 moves", "A. Coach", "MIT", "squash"):
        assert word in text, (word, text)
    assert {"mlprogram": "iOS16", "neuralnetwork": "iOS13", "onnx": "opset"}[FORMS[suffix]] in text
    assert re.search(r"\d+ +[cC]onv", text)


def test_a_description_counts_the_weights(right: Right) -> None:
    texts = {form: said(path) for form, path in right.files.items()}
    counts = {form: re.findall(r"parameters +([\d,]+)", text) for form, text in texts.items()}
    assert counts["mlprogram"] == counts["neuralnetwork"] != []
    assert "as float16" in texts["mlprogram"]
    assert "as float32" in texts["neuralnetwork"]
    assert "as float32" in texts["onnx"]


@pytest.mark.parametrize("target", ["iOS16", "iOS18"])  # compressed weights are stored in another way from iOS18 on
def test_a_description_says_how_weights_are_compressed(right: Right, tmp_path: Path, target: Any) -> None:
    path = tmp_path / "plain.mlpackage"
    write_coreml(sane_network("test_resnet", SIZE), path, INTERFACE, right.about, target=target)
    model = ct.models.MLModel(str(path), skip_model_load=True)
    linear = cto.OptimizationConfig(cto.OpLinearQuantizerConfig(mode="linear_symmetric"))
    palette = cto.OptimizationConfig(cto.OpPalettizerConfig(mode="uniform", nbits=4))
    with quietly():
        cto.linear_quantize_weights(model, linear).save(str(tmp_path / "int8.mlpackage"))
        cto.palettize_weights(model, palette).save(str(tmp_path / "palette.mlpackage"))
    counts = re.findall(r"parameters +([\d,]+)", said(path))
    for name, words in (("int8", "as int8, linear"), ("palette", "as 4 bits, palette")):
        text = said(tmp_path / f"{name}.mlpackage")
        assert words in text
        assert re.findall(r"parameters +([\d,]+)", text) == counts, name


def test_a_core_ai_asset_is_described_by_its_metadata(tmp_path: Path) -> None:
    path = tmp_path / "moves.aimodel"
    path.mkdir()
    fields = {"labels": "shoot\nlayup", "bball_pl.preprocess": '{"size": 299}', "bball_pl.fit": "squash"}
    (path / "metadata.json").write_text(json.dumps({"creatorDefinedMetadata": fields}), encoding="utf-8")
    text = said(path)
    for word in ("Core AI", "299 × 299", "shoot", "layup", "squash", "what its metadata says"):
        assert word in text
    (path / "metadata.json").write_text("{", encoding="utf-8")
    with pytest.raises(VerificationError, match="metadata"):
        describe(path)


def test_what_cannot_be_described(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"moves\.pdf.*\.onnx, \.mlpackage"):
        describe(tmp_path / "moves.pdf")
    with pytest.raises(VerificationError, match=r"there is no .*moves\.onnx"):
        describe(tmp_path / "moves.onnx")
