"""Steps from photos to a phone file: the options that the page offers for each, and the command line that they make.

The words of a command are made here and nowhere else: an option is checked by its field, a file or folder is chosen
from what is on disk, and no shell ever reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

from bball_pl import project
from bball_pl.errors import ConfigError
from bball_pl.export.options import ExportSettings, Format
from bball_pl.files import folder_name_problem, has_control
from bball_pl.model.court_weights import BACKBONE
from bball_pl.moves import MOVES
from bball_pl.studio.runs.runs_reading import short_path
from bball_pl.studio.state import Settings, printable
from bball_pl.studio.steps.uploads import Uploads
from bball_pl.studio.steps.way import INBOX, NOT_DATASETS, Way
from bball_pl.wording import LANGUAGES

#: The steps in their order; `sort` is a view of its own.
WAY = ("collect", "sort", "audit", "split", "train", "evaluate", "export")
#: Commands that belong to one of the steps.
BESIDE = {"resume": "train", "verify": "export"}
_MAX_TEXT = 200
#: Backbones to choose from: one whose weights pip has installed, and the default, which is downloaded once.
_NETWORKS = (BACKBONE, "inception_v3")


@dataclass(frozen=True)
class Field:
    """An option of a step.

    Attributes:
        name: Name of the option.
        kind: `choice` of one value, `choices` of some, `name` of a folder, `text`, `number` or `flag`.
        value: Value that is shown first; for a number None is the command's default.
        choices: Values of a choice.
        low: Lowest number.
        high: Highest number.
        whole: Whether the number has no decimals.
    """

    name: str
    kind: Literal["choice", "choices", "name", "text", "number", "flag"]
    value: Any
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    whole: bool = True

    def read(self, given: Any) -> Any:
        """Return a value of the option.

        Raises:
            ConfigError: if it is not one.
        """
        good: bool
        if self.kind == "flag":
            good = isinstance(given, bool)
        elif self.kind == "number":
            number = isinstance(given, (int, float)) and not isinstance(given, bool)
            good = given is None or (
                number and self.low <= given <= self.high and (given == int(given) or not self.whole)
            )
            given = int(given) if good and given is not None and self.whole else given
        elif self.kind == "choices":
            good = isinstance(given, list) and bool(given) and all(one in self.choices for one in given)
            given = [one for one in self.choices if one in given] if good else given
        elif self.kind == "choice":
            good = isinstance(given, str) and given in self.choices
        else:
            good = (
                isinstance(given, str)
                and len(given) <= _MAX_TEXT
                and not has_control(given)
                and printable(given) == given
            )
            given = given.strip() if good else given
            if good and self.kind == "name":
                problem = folder_name_problem(given) or ("it begins with a dash" if given[0] == "-" else "")
                if problem:
                    raise ConfigError(f"{self.name} is {given!r}, which cannot be the name of a folder: {problem}")
        if not good:
            raise ConfigError(f"{self.name} is {str(given)[:80]!r}; expected {self._expected()}")
        return given

    @property
    def json(self) -> dict[str, Any]:
        """The option as the page needs it."""
        return asdict(self)

    def _expected(self) -> str:
        if self.kind == "number":
            return f"{'a whole number' if self.whole else 'a number'} from {self.low:g} to {self.high:g}"
        if self.kind in {"choice", "choices"}:
            known = ", ".join(self.choices) or "nothing that is there yet"
            return f"{'one' if self.kind == 'choice' else 'some'} of {known}"
        return "yes or no" if self.kind == "flag" else f"text on one line, {_MAX_TEXT} characters at most"


class Steps:
    """The steps of a project as it is now.

    Args:
        settings: Settings of the studio.
        way: State of the project.
        uploads: Uploads of the project.
    """

    def __init__(self, settings: Settings, way: Way, uploads: Uploads) -> None:
        self._settings = settings
        self._way = way
        self._uploads = uploads
        self._makers: dict[str, tuple[Callable[[], list[Field]], Callable[[dict[str, Any]], list[str]]]] = {
            "collect": (self._collect_fields, self._collect),
            "audit": (self._audit_fields, self._audit),
            "split": (self._split_fields, self._split),
            "train": (self._train_fields, self._train),
            "resume": (self._resume_fields, self._resume),
            "evaluate": (self._evaluate_fields, self._evaluate),
            "export": (self._export_fields, self._export),
            "verify": (self._verify_fields, self._verify),
        }

    def fields(self, step: str) -> list[Field]:
        """Return the options of a step; none of a step without a command."""
        return self._makers[step][0]() if step in self._makers else []

    def words(self, step: str, given: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
        """Return the words of a step's command, and all its options with their values.

        Args:
            step: Step.
            given: Options by name; those that are left out have their first value.

        Raises:
            ConfigError: if there is no such step, an option is unknown or has a wrong value, or something that the
                step needs is not there.
        """
        if step not in self._makers:
            raise ConfigError(
                f"there is no step {step[:40]!r} with a command; expected one of {', '.join(self._makers)}"
            )
        fields = {field.name: field for field in self.fields(step)}
        if unknown := [name for name in given if name not in fields]:
            raise ConfigError(f"{step} has no option {unknown[0][:40]!r}; expected some of {', '.join(fields)}")
        options = {name: field.read(given.get(name, field.value)) for name, field in fields.items()}
        return self._makers[step][1](options), options

    def _collect_fields(self) -> list[Field]:
        waiting = tuple(upload.id for upload in self._uploads.waiting())
        return [
            Field("upload", "choice", waiting[-1] if waiting else "", waiting),
            Field("group", "choice", "folder", ("folder", "day")),
            Field("author", "text", ""),
            Field("licence", "text", ""),
        ]

    def _collect(self, options: dict[str, Any]) -> list[str]:
        upload = next(upload for upload in self._uploads.waiting() if upload.id == options["upload"])
        return self.collect_words(upload.folder, options)

    def collect_words(self, folder: Path, options: Mapping[str, Any]) -> list[str]:
        """Return the words that collect the folder of an upload, which need not exist yet."""
        words = ["collect", "local", short_path(folder), "--out", short_path(self._settings.inbox / folder.name)]
        words += ["--group=day"] if options.get("group") == "day" else []
        return words + [f"--{name}={options[name]}" for name in ("author", "licence") if options.get(name)]

    def _audit_fields(self) -> list[Field]:
        trees = [INBOX] if self._way.inbox["photos"] else []
        trees += [one["name"] for one in self._way.datasets]
        fresh = [tree for tree in trees if self._way.audits.get(tree, {"stale": True})["stale"]]
        return [
            Field("tree", "choice", next(iter([*fresh, *trees]), ""), tuple(trees)),
            Field("labels", "flag", True),
            Field("fix", "flag", False),
        ]

    def _audit(self, options: dict[str, Any]) -> list[str]:
        tree = options["tree"]
        words = ["audit", short_path(self._settings.inbox if tree == INBOX else self._settings.data / tree)]
        words += [] if options["labels"] else ["--no-labels"]
        words += ["--fix"] if options["fix"] else []
        return words + (self._class_names() if tree == INBOX else [])

    def _split_fields(self) -> list[Field]:
        names = [one["name"] for one in self._way.datasets]
        return [
            # Once there is a dataset of the photos, new ones go there as well.
            Field("dataset", "name", "photos" if "photos" in names or not names else names[0]),
            Field("val", "number", 0.15, low=0, high=0.5, whole=False),
            Field("test", "number", 0.15, low=0, high=0.5, whole=False),
            Field("games", "choice", "table", ("table", "folder")),
        ]

    def _split(self, options: dict[str, Any]) -> list[str]:
        if not self._way.inbox["photos"] - self._way.inbox["unsorted"]:
            raise ConfigError("no photo is sorted yet; give them classes in Sort first")
        if options["dataset"] in NOT_DATASETS:
            raise ConfigError(f"{options['dataset']} is a folder of another kind; use another name for the dataset")
        words = [
            "split",
            short_path(self._settings.inbox),
            "--out",
            short_path(self._settings.data / options["dataset"]),
        ]
        words += [f"--{name}={options[name]:g}" for name in ("val", "test") if options[name] is not None]
        words += ["--groups=folder"] if options["games"] == "folder" else []
        return words + self._class_names()

    def _train_fields(self) -> list[Field]:
        datasets = tuple(one["name"] for one in self._way.datasets)
        newest = "photos" if "photos" in datasets else next(iter(datasets), "")
        return [
            Field("dataset", "choice", newest, datasets),
            Field("config", "choice", "standard", ("standard", "quick", *self._way.configs)),
            Field("network", "choice", "config", ("config", *_NETWORKS)),
            Field("epochs", "number", None, low=1, high=1000),
            Field("name", "name", "moves"),
        ]

    def _train(self, options: dict[str, Any]) -> list[str]:
        words = ["fit"]
        if options["config"] == "quick":
            words += ["--config", "demo"]
        elif options["config"] != "standard":
            words += ["--config", str(Path("configs", options["config"]))]
        words += ["--data.root", short_path(self._settings.data / options["dataset"]), f"--name={options['name']}"]
        words += [] if options["network"] == "config" else ["--model.backbone", options["network"]]
        words += [] if options["epochs"] is None else [f"--trainer.max_epochs={options['epochs']}"]
        logs = self._settings.logs
        if logs.name != project.LOGS:
            raise ConfigError(f"runs are written to a folder {project.LOGS}, and --logs of the studio is {logs.name}")
        own = logs.resolve() == (project.ROOT / project.LOGS).resolve()
        return words if own else [*words, f"--trainer.default_root_dir={short_path(logs.parent)}"]

    def _resume_fields(self) -> list[Field]:
        runs = [run["id"] for run in self._way.runs if run["resumable"]]
        return [Field("run", "choice", next(iter(runs), ""), tuple(runs))]

    def _resume(self, options: dict[str, Any]) -> list[str]:
        return ["fit", "--resume", short_path(self._settings.logs / options["run"])]

    def _trained(self) -> Field:
        runs = [run["id"] for run in self._way.runs if run["has_best"]]
        finished = [run["id"] for run in self._way.runs if run["has_best"] and not run["unfinished"]]
        return Field("run", "choice", next(iter([*finished, *runs]), ""), tuple(runs))

    def _evaluate_fields(self) -> list[Field]:
        return [self._trained(), Field("language", "choice", LANGUAGES[0], LANGUAGES)]

    def _evaluate(self, options: dict[str, Any]) -> list[str]:
        words = ["evaluate", "--run", short_path(self._settings.logs / options["run"])]
        return words if options["language"] == "en" else [*words, f"--language={options['language']}"]

    def _export_fields(self) -> list[Field]:
        run = self._trained()
        known = tuple(name for name in get_args(Format) if name != "aimodel" or find_spec("coreai") is not None)
        name = run.value.partition("/")[0] or "moves"
        return [run, Field("formats", "choices", list(ExportSettings.formats), known), Field("name", "name", name)]

    def _export(self, options: dict[str, Any]) -> list[str]:
        words = ["export", "--run", short_path(self._settings.logs / options["run"])]
        words += ["--formats", *options["formats"], f"--name={options['name']}"]
        exports = self._settings.exports
        own = exports.resolve() == (project.ROOT / "exports").resolve()
        return words if own else [*words, "--out", short_path(exports)]

    def _verify_fields(self) -> list[Field]:
        names = tuple(one["name"] for one in self._way.exports)
        return [Field("export", "choice", next(iter(names), ""), names)]

    def _verify(self, options: dict[str, Any]) -> list[str]:
        return ["verify", short_path(self._settings.exports / options["export"])]

    def _class_names(self) -> list[str]:
        own: Sequence[str] = self._settings.class_names
        return [] if set(own) == {move.name for move in MOVES} else ["--class-names", *own]
