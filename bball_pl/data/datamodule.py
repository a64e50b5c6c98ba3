"""The datamodule: a dataset folder as batches for training, validation, test and evaluation."""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import lightning as L
import torch
from joblib import cpu_count
from lightning.pytorch.utilities import rank_zero_warn
from rich.console import Console
from torch.utils.data import DataLoader

from bball_pl.data.augmentation import Strength, build_augment
from bball_pl.data.check import OnBadPhoto, check_photos, fill_cache
from bball_pl.data.dataset import PhotoBatch, PhotoCache, PhotoDataset, collate
from bball_pl.data.sampler import EvalBatchSampler, TrainBatchSampler, resume_point
from bball_pl.data.validation import split_train, stratified_subset
from bball_pl.errors import ConfigError, DatasetError
from bball_pl.moves import NO_MOVE, is_moves
from bball_pl.photos.audit_record import audit_remark
from bball_pl.photos.dataset_layout import count_table, find_class_names, scan_dataset
from bball_pl.photos.photos_csv import PHOTOS_CSV, read_photos_csv
from bball_pl.photos.preprocess import PreprocessSpec
from bball_pl.photos.store import PhotoStore
from bball_pl.photos.tree import Photo, PhotoTree, split_folders
from bball_pl.project import ROOT

DATA = ROOT / "data"

# Random crops of half the area are then enlarged by 1.13 at most; a larger entry costs disk and reading time.
_ROOM_FOR_CROPS = 1.25

#: Scenes of `--data.court auto`. With 300 beside 138 real photos of moves (five folds), 0.98 of the pairs of a real
#: photo of a move and a real picture without one were ranked rightly; without them 0.71 (docs/trials.md).
COURT_SCENES = 300


class PhotoDataModule(L.LightningDataModule):
    """Photos in class folders to batches.

    Nothing is read from disk before `prepare_data` or `class_names`.

    Args:
        root: the dataset's folder, `{train,test[,val]}/<class>/*.jpg`, with an optional `photos.csv`.
        spec: preprocessing of the photos; set from the backbone. None is Inception v3's, 299 px.
        class_names: the classes in the order of the network's outputs; None takes the folders of `train`.
        augment: strength of the random changes to training photos: none, light or heavy.
        on_bad_photo: `error` ends the run before training and names every unusable photo; `skip` leaves them out and
            lists them.
        batch_size: photos per device and step.
        num_workers: loading processes per device; 0 loads in the main process, None chooses by the number of cores.
        val_fraction: share of the training photos used for validation if there is no folder `val`, above 0 and at
            most 0.5.
        cache: keep resized photos on disk, 0.4 MB per training photo at 299 px. Without it every photo is decoded
            again in every epoch.
        cache_dir: the cache's folder; None is `data/.cache` in the repository. It can be deleted at any time.
        gap_photos: number of training photos that are also evaluated in validation, without augmentation, to measure
            the gap between the two; 0 for none.
        court: number of rendered scenes without a move that join the training photos as the class none, so that
            "none of these" is an answer; 0 for no scene. auto takes 300 if the classes are the three moves, the
            folder has no class none, and the weights have seen the court.
        seed: random seed of the validation split, the order of the photos and the augmentation.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = DATA / "demo",
        spec: PreprocessSpec | None = None,
        class_names: list[str] | None = None,
        augment: Strength = "heavy",
        on_bad_photo: OnBadPhoto = "error",
        batch_size: int = 32,
        num_workers: int | None = None,
        val_fraction: float = 0.15,
        cache: bool = True,
        cache_dir: str | os.PathLike[str] | None = None,
        gap_photos: int = 256,
        court: int | Literal["auto"] = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.root, self.spec = Path(root), spec or PreprocessSpec(299)
        self.augment, self.on_bad_photo = augment, on_bad_photo
        self.batch_size, self.num_workers, self.val_fraction = batch_size, num_workers, val_fraction
        self.gap_photos, self.seed = gap_photos, seed
        if court != "auto" and court < 0:
            raise ConfigError(f"--data.court is {court}; expected auto or a number of scenes, 0 or more")
        self.court = court
        self.photos: dict[str, list[Photo]] = {}
        #: Rendered photos of the class none, trained on beside those of the dataset; never validated or tested on.
        self.scenes: list[Photo] = []
        self._given_names = class_names
        self._cache_dir = Path(cache_dir) if cache_dir is not None else DATA / ".cache"
        self._cache = PhotoCache(self._cache_dir if cache else None)
        self._saved_fingerprint: dict[str, str] = {}

    @cached_property
    def class_names(self) -> list[str]:
        """Class names in the order of the targets, from the names of folders alone; `none` last if it is rendered.

        Raises:
            ConfigError: if scenes are asked for, and the classes are not the three moves or the dataset has photos of
                none for training.
            DatasetError: as in `find_class_names`.
        """
        names = find_class_names(self.root, self._given_names)
        if self._scenes_wanted(names) and NO_MOVE.name not in names:
            names.append(NO_MOVE.name)
        return names

    @property
    def training_photos(self) -> list[Photo]:
        """Photos that the network learns from: the split `train` and the rendered scenes."""
        return self.photos["train"] + self.scenes

    def _scenes_wanted(self, names: Sequence[str]) -> int:
        """Return the number of scenes to render for these classes of the dataset."""
        learnt = (folder for split, folder in split_folders(self.root).items() if split != "test")
        sorted_out = any((folder / NO_MOVE.name).is_dir() for folder in learnt)
        if self.court == "auto":
            return COURT_SCENES if is_moves(names) and not sorted_out else 0
        if self.court and sorted_out:
            raise ConfigError(
                f"--data.court {self.court} renders photos for the class none, and {self.root} has photos of it. "
                "Pass --data.court 0"
            )
        if self.court and not is_moves(names):
            raise ConfigError(
                f"--data.court {self.court} renders photos that show none of shoot, dribble and layup, and the classes "
                f"are {', '.join(names)}. Pass --data.court 0"
            )
        return self.court

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of a full batch, by the names of `PhotoBatch`."""
        side = self.spec.size
        batch = self.batch_size
        return {"images": (batch, 3, side, side), "targets": (batch,), "indices": (batch,)}

    def prepare_data(self) -> None:
        """Check every photo once, fill the cache and show the table of photos; once per machine.

        Raises:
            DatasetError: as in `scan_dataset`, `check_photos` and `split_train`.
        """
        if self.photos:
            return
        console = Console(stderr=True)
        self._find_photos(console)
        evaluated = self.photos["val"] + self._gap()
        fill_cache(evaluated, self._cache, self.spec, console)
        console.print(f"Photos in {self.root}", markup=False)
        console.print(count_table(self.photos, self.class_names))
        photos = (photo for split in self.photos.values() for photo in split)
        if remark := audit_remark(self.root, ((photo.class_name, photo.relative, photo.sha256) for photo in photos)):
            console.print(remark, style="yellow", markup=False, highlight=False, soft_wrap=True)

    def setup(self, stage: str | None = None) -> None:
        """Make the same lists of photos in every process, from the store that `prepare_data` filled.

        Raises:
            DatasetError: as `prepare_data`.
        """
        if not self.photos:
            self._find_photos(console=None)
        self._compare_fingerprints()

    def train_dataloader(self) -> DataLoader[PhotoBatch]:
        """Batches of augmented training photos, from the batch at which an interrupted run stopped."""
        self._require_setup()
        rank, world_size = self._rank_and_world()
        photos = self.training_photos
        sampler = TrainBatchSampler(len(photos), self.batch_size, self.seed, rank, world_size)
        if self.trainer is not None:
            # Lightning creates the first iterator, whose workers start at once, before it calls set_epoch: a resumed
            # run would train in epoch 0's order (Lightning's issue #21938).
            epoch, batches = resume_point(self.trainer, len(sampler))
            sampler.set_epoch(epoch)
            sampler.skip_batches(batches)
            # Lightning expects a state_dict of the loader and does not know that the sampler resumes exactly.
            warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before the epoch ended")
        augment = build_augment(self.augment, self.spec.size)
        dataset = PhotoDataset(photos, self._cache, self._train_spec, self.spec.size, augment, self.seed)
        return self._loader(dataset, sampler)

    def val_dataloader(self) -> list[DataLoader[PhotoBatch]]:
        """Validation photos and the fixed part of the training photos that shows the gap, both without augmentation."""
        self._require_setup()
        gap = self._gap()
        return [self.eval_loader(self.photos["val"]), *([self.eval_loader(gap)] if gap else [])]

    def test_dataloader(self) -> DataLoader[PhotoBatch]:
        """Test photos, without augmentation.

        Raises:
            DatasetError: if the dataset has no test photos.
        """
        self._require_setup()
        if not self.photos["test"]:
            raise DatasetError(f"{self.root} has no folder 'test'. Add test/<class>/*.jpg, or pass --data.root DIR.")
        return self.eval_loader(self.photos["test"])

    def eval_loader(self, photos: Sequence[Photo], size: int | None = None) -> DataLoader[PhotoBatch]:
        """Batches of any photos exactly as a deployed network gets them, in order.

        Over all devices every photo comes once; `indices` are positions in `photos`, -1 for padding.

        Args:
            photos: photos of any split.
            size: side of the network's input in pixels; None takes that of `spec`.
        """
        spec = self.spec if size is None else replace(self.spec, size=size)
        sampler = EvalBatchSampler(len(photos), self.batch_size, *self._rank_and_world())
        return self._loader(PhotoDataset(photos, self._cache, spec, spec.size), sampler)

    def smallest_batch(self, devices: int) -> int:
        """Return the number of photos in the smallest batch of an epoch on one of several devices."""
        self._require_setup()
        sampler = TrainBatchSampler(len(self.training_photos), self.batch_size, world_size=devices)
        return len(self.training_photos) // devices // len(sampler)

    def on_after_batch_transfer(self, batch: PhotoBatch, dataloader_idx: int) -> PhotoBatch:
        """Normalise on the device: one byte per value is transferred instead of four."""
        return batch._replace(images=self.spec.normalise(batch.images))

    def describe(self) -> dict[str, Any]:
        """Return the data facts of a run's record as plain numbers, strings, lists and dicts."""
        self._require_setup()
        everything = [photo for split in self.photos.values() for photo in split]
        return {
            "root": str(self.root),
            "class_names": list(self.class_names),
            "counts": {
                split: {name: sum(photo.class_name == name for photo in photos) for name in self.class_names}
                for split, photos in self.photos.items()
            },
            "groups": {
                split: len({photo.group for photo in photos if photo.group}) for split, photos in self.photos.items()
            },
            "sha256": _digest(sorted(everything, key=lambda photo: photo.relative)),
            "scenes": len(self.scenes),
        }

    def state_dict(self) -> dict[str, str]:
        """Return a fingerprint of the training and validation photos, for the checkpoint."""
        photos = {"train": self.photos.get("train", []) + self.scenes, "val": self.photos.get("val", [])}
        return {split: _digest(members) for split, members in photos.items()}

    def load_state_dict(self, state_dict: Mapping[str, str]) -> None:
        """Load the fingerprint of a checkpoint, and warn if the photos have changed since."""
        self._saved_fingerprint = dict(state_dict)
        if self.photos:
            self._compare_fingerprints()

    def _find_photos(self, console: Console | None) -> None:
        number = self._scenes_wanted(self.class_names)
        rendered = (NO_MOVE.name,) if number else ()
        dataset = scan_dataset(self.root, self._given_names, rendered)
        if dataset.ignored and console is not None:
            console.print(f"Not photos of a class, left out: {', '.join(dataset.ignored)}", markup=False)
        specs = {"train": self._train_spec, "val": self.spec, "test": self.spec}
        with PhotoStore(self._cache_dir) as store:
            photos = check_photos(dataset, self._cache, store, specs, self.on_bad_photo, console, rendered)
            if number:
                scenes = self._render(number, show_progress=console is not None)
                self.scenes = check_photos(scenes, self._cache, store, specs, "error", console)["train"]
        if "val" not in split_folders(self.root):
            photos["train"], photos["val"] = split_train(photos["train"], self.val_fraction, self.seed)
        self.photos = photos

    def _render(self, number: int, show_progress: bool) -> PhotoTree:
        """Render the scenes, unless they are in the cache's folder; as a tree with the classes of this dataset.

        Raises:
            DatasetError: if they cannot be written, or something else lies in their place.
        """
        # OpenCV and the renderer are not needed by a run without scenes.
        from bball_pl.court.demo_dataset import RENDERER, write_demo

        folder = self._cache_dir / f"scenes.{number}.{self.seed}.{RENDERER}"
        try:
            # Parts of a cache may be gone: rendered again, they are the same.
            write_demo(folder, number, 1, self.seed, None, "unless_complete", show_progress, court=NO_MOVE.name)
        except OSError as error:
            raise DatasetError(
                f"scenes without a move cannot be written: {folder} ({error.strerror}). Pass --data.cache_dir DIR on a "
                "disk with room, or --data.court 0."
            ) from error
        target = self.class_names.index(NO_MOVE.name)
        photos = [
            Photo(folder / row.path, f"scenes/{row.path}", "train", NO_MOVE.name, row.group, target=target)
            for row in read_photos_csv(folder / PHOTOS_CSV)
            if row.path.startswith("train/")
        ]
        return PhotoTree(folder, [NO_MOVE.name], photos, has_splits=True)

    @property
    def _train_spec(self) -> PreprocessSpec:
        # Without augmentation a training photo equals that of evaluation bit for bit, and shares its entry.
        return self.spec if self.augment == "none" else replace(self.spec, size=round(_ROOM_FOR_CROPS * self.spec.size))

    def _gap(self) -> list[Photo]:
        return stratified_subset(self.photos["train"], self.gap_photos, self.seed)

    def _rank_and_world(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _loader(self, dataset: PhotoDataset, sampler: TrainBatchSampler | EvalBatchSampler) -> DataLoader[PhotoBatch]:
        # A worker without a batch would only cost memory.
        workers = min(self._workers, len(sampler))
        return DataLoader(
            dataset,
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_init_worker,
            persistent_workers=workers > 0,
        )

    @property
    def _workers(self) -> int:
        if self.num_workers is not None:
            return self.num_workers
        devices, on_cpu = 1, True
        if self.trainer is not None:
            devices = max(1, self.trainer.num_devices)
            on_cpu = self.trainer.strategy.root_device.type == "cpu"
        cores: int = cpu_count() // devices
        # On two cores that do all the arithmetic, a loading process gains nothing: loading a batch takes a fiftieth of
        # a step, and switching between three busy threads costs more.
        if on_cpu and cores <= 2:
            return 0
        # One core is left to the training process; eight workers are enough for a fast GPU.
        return min(8, max(0, cores - 1))

    def _require_setup(self) -> None:
        if not self.photos:
            raise DatasetError("the datamodule has no photos yet. Call prepare_data() and setup() first.")

    def _compare_fingerprints(self) -> None:
        if self._saved_fingerprint and self._saved_fingerprint != self.state_dict():
            rank_zero_warn(
                f"the training or validation photos in {self.root} are not those of the checkpoint: the dataset, its "
                "split or the seed has changed since. The run continues with the present photos."
            )


def _init_worker(_: int) -> None:
    import cv2

    # One thread per worker: OpenCV would start a thread per core in each.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    # The thread that hands batches over prints what it meets by this hook: a run that is stopped meanwhile is no fault.
    sys.excepthook = _print_unless_parted


def _print_unless_parted(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not isinstance(error, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)


def _digest(photos: Sequence[Photo]) -> str:
    lines = "\n".join(f"{photo.relative}\t{photo.class_name}\t{photo.sha256}" for photo in photos)
    return hashlib.sha256(lines.encode()).hexdigest()
