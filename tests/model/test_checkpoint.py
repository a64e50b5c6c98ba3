"""What a checkpoint holds, and the classifier that is built of it to answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bball_pl.errors import RunError
from bball_pl.model.checkpoint import Classifier, read_checkpoint
from bball_pl.model.classifier import MoveClassifier

NAMES = ["shoot", "dribble", "layup"]


def content_of(classifier: MoveClassifier) -> dict[str, Any]:
    """Return what a training would write."""
    content: dict[str, Any] = {"state_dict": classifier.state_dict(), "hyper_parameters": dict(classifier.hparams)}
    classifier.on_save_checkpoint(content)
    return content


@pytest.mark.parametrize(
    ("backbone", "size", "options"),
    [
        ("test_resnet", 32, {"frozen": 0.5, "dropout": 0.9, "fit": "pad"}),
        ("test_vit", 96, {}),
        ("test_resnet", 32, {"channels_last": False}),
        ("inception_v3", 299, {"auxiliary": True}),
    ],
)
def test_it_answers_as_the_one_that_was_trained(
    backbone: str, size: int, options: dict[str, Any], tmp_path: Path
) -> None:
    trained = MoveClassifier(NAMES, backbone, "none", size, **options).eval()
    torch.save(content_of(trained), tmp_path / "best.ckpt")
    answering = Classifier.from_checkpoint(tmp_path / "best.ckpt")
    assert type(answering) is Classifier
    assert not answering.training
    assert (answering.class_names, answering.spec, answering.backbone) == (NAMES, trained.spec, backbone)
    assert answering.network.channels_last == trained.network.channels_last
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(answering(images), trained(images))


def test_settings_that_are_younger_than_a_checkpoint_are_not_needed() -> None:
    content = content_of(MoveClassifier(NAMES, "test_resnet", "none", 32))
    old = {name: content["hyper_parameters"][name] for name in ("class_names", "backbone")}
    assert Classifier.from_checkpoint({**content, "hyper_parameters": old}).class_names == NAMES


def test_the_size_is_the_one_that_the_run_has_chosen() -> None:
    trained = MoveClassifier(NAMES, "test_resnet", "none", [32, 48])
    trained.adopt(48, "none")
    assert Classifier.from_checkpoint(content_of(trained)).spec.size == 48


def test_a_checkpoint_that_git_has_not_fetched_says_so(tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n")
    with pytest.raises(RunError, match=r"best\.ckpt is a pointer of Git LFS.*git lfs pull"):
        read_checkpoint(tmp_path / "best.ckpt")
