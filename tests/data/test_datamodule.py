"""The datamodule as a run uses it: from a folder to batches, through stops and changes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor

from bball_pl.data import datamodule
from bball_pl.data.datamodule import PhotoDataModule
from bball_pl.data.dataset import PhotoBatch
from bball_pl.errors import DatasetError
from bball_pl.files import write_text
from bball_pl.photos.audit_record import RECORD, AuditRecord, fingerprints_by_class
from bball_pl.photos.decode import decode
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.project import audit_folder

MakeDataset = Callable[..., Path]
Paint = Callable[..., Path]

SPEC = PreprocessSpec(32)


def ready(root: Path, **options: Any) -> PhotoDataModule:
    settings: dict[str, Any] = {"spec": SPEC, "batch_size": 4, "num_workers": 0, "cache_dir": root.parent / "cache"}
    data = PhotoDataModule(root, **(settings | options))
    data.prepare_data()
    data.setup("fit")
    return data


class Recorder(L.LightningModule):
    """A net of one weight that writes down which photos it was shown, and stops where it is told to."""

    def __init__(
        self, stop_at: tuple[int, int] | None = None, where: str = "batch", ckpt: Path = Path("stop.ckpt")
    ) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.seen: list[tuple[int, int, list[int], int]] = []
        self.stop_at, self.where, self.ckpt = stop_at, where, ckpt

    def training_step(self, batch: PhotoBatch, batch_idx: int) -> Tensor:
        pixels = int((batch.images * 1000).double().sum())
        self.seen.append((self.current_epoch, batch_idx, batch.indices.tolist(), pixels))
        return self.scale * batch.images.mean()

    def on_train_batch_end(self, outputs: Any, batch: PhotoBatch, batch_idx: int) -> None:
        if self.where == "batch" and (self.current_epoch, batch_idx) == self.stop_at:
            self.trainer.save_checkpoint(self.ckpt)
            self.trainer.should_stop = True

    def validation_step(self, batch: PhotoBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        pass

    def on_validation_end(self) -> None:
        if self.where == "validation" and self.stop_at and self.current_epoch == self.stop_at[0]:
            self.trainer.save_checkpoint(self.ckpt)
            self.trainer.should_stop = True

    def on_train_epoch_end(self) -> None:
        if self.where == "epoch" and self.stop_at and self.current_epoch == self.stop_at[0]:
            self.trainer.save_checkpoint(self.ckpt)
            self.trainer.should_stop = True

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(model: Recorder, data: PhotoDataModule, ckpt: Path | None = None, epochs: int = 3, **options: Any) -> Recorder:
    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **options,
    )
    trainer.fit(model, datamodule=data, ckpt_path=ckpt, weights_only=True)
    return model


@pytest.mark.parametrize(
    ("where", "stop_at", "workers"),
    [
        ("batch", (0, 0), 0),
        ("batch", (1, 2), 0),
        ("batch", (1, 2), 2),
        ("batch", (1, 6), 2),
        ("validation", (1, 6), 0),
        ("epoch", (0, 6), 2),
    ],
)
def test_a_stopped_run_goes_on_with_the_very_next_batch(
    make_dataset: MakeDataset, tmp_path: Path, where: str, stop_at: tuple[int, int], workers: int
) -> None:
    root = make_dataset({"train": 10, "test": 1})
    whole = fit(Recorder(), ready(root)).seen
    assert len(whole) == 3 * 7
    ckpt = tmp_path / "stop.ckpt"
    first = fit(Recorder(stop_at, where, ckpt), ready(root, num_workers=workers)).seen
    assert first[-1][:2] == stop_at
    second = fit(Recorder(), ready(root, num_workers=workers), ckpt).seen
    assert [row[:2] for row in first + second] == [row[:2] for row in whole]
    assert first + second == whole


def test_constructing_reads_nothing_and_a_missing_root_names_the_fix(tmp_path: Path) -> None:
    data = PhotoDataModule(tmp_path / "nowhere", cache_dir=tmp_path / "cache")
    with pytest.raises(DatasetError, match=r"bball demo.*--data\.root"):
        _ = data.class_names
    with pytest.raises(DatasetError, match="nowhere"):
        data.prepare_data()
    assert list(tmp_path.iterdir()) == []


def test_evaluation_gives_exactly_what_the_phone_computes(make_dataset: MakeDataset) -> None:
    data = ready(make_dataset({"train": 8, "val": 2, "test": 3}))
    for loader, split in ((data.test_dataloader(), "test"), (data.val_dataloader()[0], "val")):
        seen = []
        for batch in loader:
            for image, target, index in zip(*batch, strict=True):
                photo = data.photos[split][index]
                np.testing.assert_array_equal(image.permute(1, 2, 0), SPEC.resize(decode(photo.path)))
                assert target == photo.target == data.class_names.index(photo.class_name)
                seen.append(int(index))
        assert seen == list(range(len(data.photos[split])))


def test_without_augmentation_training_photos_are_those_of_evaluation(make_dataset: MakeDataset) -> None:
    data = ready(make_dataset(), augment="none")
    for batch in data.train_dataloader():
        for image, index in zip(batch.images, batch.indices, strict=True):
            photo = data.photos["train"][index]
            np.testing.assert_array_equal(image.permute(1, 2, 0), SPEC.resize(decode(photo.path)))


def epoch_pixels(data: PhotoDataModule, epoch: int) -> dict[int, bytes]:
    loader = data.train_dataloader()
    loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
    return {int(i): x.numpy().tobytes() for batch in loader for i, x in zip(batch.indices, batch.images, strict=True)}


def test_augmentation_depends_on_photo_epoch_and_seed_only(make_dataset: MakeDataset) -> None:
    root = make_dataset()
    alone = epoch_pixels(ready(root), 1)
    assert alone == epoch_pixels(ready(root, num_workers=3, batch_size=5), 1)
    assert alone == epoch_pixels(ready(root, cache=False), 1)
    later = epoch_pixels(ready(root), 2)
    assert all(alone[index] != later[index] for index in alone)


def test_persistent_workers_see_every_new_epoch(make_dataset: MakeDataset) -> None:
    data = ready(make_dataset(), num_workers=2)
    loader = data.train_dataloader()
    epochs = []
    for epoch in (0, 1):
        loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
        epochs.append({int(i): x.numpy().tobytes() for b in loader for i, x in zip(b.indices, b.images, strict=True)})
    assert epochs == [epoch_pixels(data, 0), epoch_pixels(data, 1)]


def test_batches_reach_the_network_normalised_in_channels_last(make_dataset: MakeDataset) -> None:
    data = ready(make_dataset())
    raw = next(iter(data.train_dataloader()))
    assert raw.images.dtype == torch.uint8
    assert tuple(raw.images.shape) == data.shapes["images"]
    batch = data.on_after_batch_transfer(raw, 0)
    assert batch.images.dtype == torch.float32
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(batch.images, raw.images.float() / 127.5 - 1)


def test_gap_loader_is_a_fixed_stratified_part_of_train_without_augmentation(make_dataset: MakeDataset) -> None:
    root = make_dataset({"train": 10, "val": 2})
    data = ready(root, gap_photos=9)
    first, again = (
        [
            (int(target), image.permute(1, 2, 0).numpy().tobytes())
            for b in data.val_dataloader()[1]
            for image, target, _ in zip(*b, strict=True)
        ]
        for _ in range(2)
    )
    assert first == again
    assert sorted(target for target, _ in first) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    trained = {SPEC.resize(decode(photo.path)).tobytes() for photo in data.photos["train"]}
    assert {image for _, image in first} <= trained
    assert len(ready(root, gap_photos=0).val_dataloader()) == 1


def test_all_bad_photos_are_named_at_once_and_can_be_skipped(
    make_dataset: MakeDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_dataset()
    (root / "train/shoot/s0.jpg").write_bytes(b"")
    (root / "train/layup/l1.jpg").write_text("<html>")
    whole = (root / "test/dribble/d2.jpg").read_bytes()
    (root / "test/dribble/d2.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "test/dribble/gone.png").symlink_to(root / "nowhere.png")
    with pytest.raises(DatasetError) as caught:
        ready(root)
    for part in ("s0.jpg: empty file", "l1.jpg: not an image", "d2.jpg: truncated", "gone.png: cannot be read", "skip"):
        assert part in str(caught.value)
    data = ready(root, on_bad_photo="skip")
    assert "Left out 4 photos" in capsys.readouterr().err
    names = {photo.relative for photos in data.photos.values() for photo in photos}
    assert len(names) == 39 - 3
    assert "train/shoot/s0.jpg" not in names


def test_a_dataset_that_was_not_audited_as_it_is_is_told_of(
    make_dataset: MakeDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_dataset()
    photos = [photo for split in ready(root).photos.values() for photo in split]
    assert f"{root} was never audited" in " ".join(capsys.readouterr().err.split())
    listed = [(photo.class_name, photo.relative, photo.sha256) for photo in photos]
    record = AuditRecord(
        str(root), "2026-11-23T08:00:00+00:00", len(photos), fingerprints=fingerprints_by_class(listed)
    )
    write_text(audit_folder(root) / RECORD, record.json)
    ready(root)
    assert "audit" not in capsys.readouterr().err
    removed = sorted((root / "train/layup").iterdir())[0]
    removed.unlink()
    ready(root)
    assert f"the photos of layup in {root} are not those of the audit of 2026-11-23" in " ".join(
        capsys.readouterr().err.split()
    )


def test_setup_in_another_process_opens_no_photo_again(
    make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_dataset()
    first = ready(root)

    def refuse(*_: object) -> None:
        raise AssertionError("a photo was opened")

    monkeypatch.setattr("bball_pl.data.dataset.decode", refuse)
    other = PhotoDataModule(root, SPEC, cache_dir=root.parent / "cache")
    other.setup("fit")
    assert other.photos == first.photos
    monkeypatch.undo()
    # A photo that changed is looked at again, and only its content decides.
    (root / "train/shoot/s0.jpg").write_bytes(b"no longer a photo")
    with pytest.raises(DatasetError, match=r"s0\.jpg"):
        PhotoDataModule(root, SPEC, cache_dir=root.parent / "cache").prepare_data()


def test_split_is_the_same_wherever_the_dataset_lies(make_dataset: MakeDataset) -> None:
    here, there = ready(make_dataset(name="a")), ready(make_dataset(name="b/c"))
    names = [[photo.relative for photo in data.photos["val"]] for data in (here, there)]
    assert names[0] == names[1]
    assert names[0]
    assert here.describe()["sha256"] == there.describe()["sha256"]
    assert here.describe()["counts"]["test"] == {"shoot": 3, "dribble": 3, "layup": 3}


def test_resuming_with_other_photos_warns(make_dataset: MakeDataset, paint: Paint) -> None:
    root = make_dataset()
    state = ready(root).state_dict()
    same = ready(root)
    same.load_state_dict(state)
    paint(root / "train/shoot/new.jpg", seed=99)
    with pytest.warns(UserWarning, match="not those of the checkpoint"):
        ready(root).load_state_dict(state)


def test_missing_test_split_is_an_error_only_when_it_is_asked_for(make_dataset: MakeDataset) -> None:
    data = ready(make_dataset({"train": 8}))
    assert data.photos["test"] == []
    with pytest.raises(DatasetError, match="no folder 'test'"):
        data.test_dataloader()


def test_tree_of_2018_is_read_as_it_is(make_dataset: MakeDataset) -> None:
    root = make_dataset({"train": 8, "test": 2})
    for path in list(root.rglob("*.jpg")):
        path.rename(path.with_suffix(".jpeg"))
    data = ready(root)
    assert data.class_names == ["shoot", "dribble", "layup"]
    assert sum(map(len, data.photos.values())) == 30


def test_predictions_of_two_devices_cover_every_photo_once(make_dataset: MakeDataset) -> None:
    data = ready(make_dataset({"train": 8, "test": 3}))
    seen = []
    for rank in range(2):
        data.trainer = type("Trainer", (), {"global_rank": rank, "world_size": 2, "num_devices": 2})()
        for batch in data.test_dataloader():
            seen += batch.indices.tolist()
            assert (batch.images[batch.indices < 0] == 0).all()
    assert sorted(seen) == [-1, *range(9)]


def test_a_loader_is_silent_about_a_run_that_ends_while_it_hands_a_batch_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    for module, name in ((cv2, "setNumThreads"), (torch, "set_num_threads")):
        monkeypatch.setattr(module, name, lambda _: None)
    datamodule._init_worker(0)
    for error in (
        ConnectionResetError(104, "Connection reset by peer"),
        EOFError(),
        BrokenPipeError(32, "Broken pipe"),
    ):
        sys.excepthook(type(error), error, None)
    assert capsys.readouterr().err == ""
    sys.excepthook(ValueError, ValueError("a fault of the program"), None)
    assert "a fault of the program" in capsys.readouterr().err
