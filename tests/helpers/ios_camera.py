"""The camera's logic of the app once more, in Python: Camera/CameraMachine.swift and Camera/Region.swift."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

FRAMES_PER_SECOND = {"nominal": 30, "fair": 20, "serious": 10, "critical": 0}
EXITS = {
    "live": [],
    "loading": [],
    "starting": [],
    "interrupted": ["wait", "retry", "otherTab"],
    "denied": ["settings", "otherTab"],
    "noCamera": ["retry", "otherTab"],
    "failed": ["retry", "otherTab"],
    "modelFailed": ["retry", "otherUnits"],
    "tooHot": ["wait", "otherTab"],
}
EVENTS = [
    *("appear", "disappear", "allowed", "denied", "modelLoading", "modelReady", "modelFailed", "started", "noCamera"),
    *("startFailed", "timedOut", "interrupted", "interruptionEnded", "runtimeError", "steady", "retry"),
    *(f"heat:{level}" for level in FRAMES_PER_SECOND),
    *("rotated:0", "rotated:90"),
]
MOST_RESTARTS = 3


@dataclass(frozen=True)
class Camera:
    """State of the live screen; `problem` is empty, noCamera or failed."""

    visible: bool = False
    permission: str = "unknown"
    model: str = "loading"
    session: str = "off"
    problem: str = ""
    restarts: int = 0
    heat: str = "nominal"
    angle: int = 90

    @property
    def screen(self) -> str:
        """What is shown: the first of the reasons that holds."""
        reasons = [
            (self.model == "failed", "modelFailed"),
            (self.heat == "critical", "tooHot"),
            (self.permission == "denied", "denied"),
            (bool(self.problem), self.problem),
            (self.model == "loading", "loading"),
            (self.session == "interrupted", "interrupted"),
            (self.session == "running", "live"),
        ]
        return next((screen for holds, screen in reasons if holds), "starting")

    @property
    def runs(self) -> bool:
        """Whether the camera is wanted."""
        blocked = not self.visible or self.heat == "critical" or self.permission == "denied" or bool(self.problem)
        return not blocked and (self.model == "ready" or (self.model == "loading" and self.session != "off"))

    def _proceed(self) -> tuple[Camera, list[str]]:
        if not self.runs:
            return (self, []) if self.session == "off" else (replace(self, session="off"), ["stop"])
        if self.permission == "unknown":
            return replace(self, permission="asking"), ["ask"]
        if self.permission == "allowed" and self.session == "off":
            return replace(self, session="starting"), ["start"]
        return self, []

    def after(self, event: str) -> tuple[Camera, list[str]]:  # noqa: PLR0911 - a return for each event
        """Return the state after an event, and what is to be done."""
        name, _, value = event.partition(":")
        calm = replace(self, problem="", restarts=0)
        if name in {"started", "noCamera", "startFailed", "timedOut", "interrupted", "interruptionEnded",
                    "runtimeError", "steady"}:  # fmt: skip
            return self._after_session(name)
        if name == "appear":
            permission = "unknown" if self.permission == "denied" else self.permission
            return replace(calm, visible=True, permission=permission)._proceed()
        if name == "disappear":
            return replace(self, visible=False)._proceed()
        if name in {"allowed", "denied"}:
            return replace(self, permission=name)._proceed()
        if name.startswith("model"):
            return replace(self, model=name.removeprefix("model").lower())._proceed()
        if name == "rotated":
            turned = replace(self, angle=int(value))
            return turned, [f"turn:{value}"] if self.session in {"running", "interrupted"} else []
        if name == "heat":
            state, effects = replace(self, heat=value)._proceed()
            return state, effects or [f"rate:{FRAMES_PER_SECOND[value]}"] * (state.session == "running")
        assert name == "retry"
        if self.model == "failed":
            return replace(calm, model="loading"), ["loadModel"]
        if self.session == "interrupted":
            return replace(calm, session="starting"), ["restart"]
        return calm._proceed()

    def _after_session(self, name: str) -> tuple[Camera, list[str]]:  # noqa: PLR0911 - likewise
        session = self.session
        if (name, session) in {("started", "starting"), ("interruptionEnded", "interrupted")}:
            effects = [f"turn:{self.angle}", f"rate:{FRAMES_PER_SECOND[self.heat]}"]
            return replace(self, session="running"), effects
        if (name, session) == ("started", "off"):
            return self, ["stop"]
        if name in {"noCamera", "startFailed", "timedOut"} and session == "starting":
            problem = "noCamera" if name == "noCamera" else "failed"
            return replace(self, session="off", problem=problem), ["stop"] * (name == "timedOut")
        if name == "interrupted" and session in {"starting", "running"}:
            return replace(self, session="interrupted"), []
        if name == "runtimeError" and session != "off":
            if self.restarts == MOST_RESTARTS:
                return replace(self, session="off", problem="failed"), ["stop"]
            return replace(self, session="starting", restarts=self.restarts + 1), ["restart"]
        if (name, session) == ("steady", "running"):
            return replace(self, restarts=0), []
        return self, []


def reachable() -> dict[Camera, list[str]]:
    """Return every state that events lead to, with the events of a shortest way there."""
    ways: dict[Camera, list[str]] = {Camera(): []}
    todo = [Camera()]
    for state in todo:
        for event in EVENTS:
            following, _ = state.after(event)
            if following not in ways:
                ways[following] = [*ways[state], event]
                todo.append(following)
    return ways


def walk(events: list[str]) -> Iterator[tuple[Camera, list[str]]]:
    """Yield the states after each event, and the effects."""
    state = Camera()
    for event in events:
        state, effects = state.after(event)
        yield state, effects


def moved(region: list[float], dx: float, dy: float) -> list[float]:
    """Camera/Region.swift: Region.moved; x, y, width, height."""
    x, y, width, height = region
    return [min(max(x + dx, 0.0), 1 - width), min(max(y + dy, 0.0), 1 - height), width, height]


def scaled(region: list[float], factor: float) -> list[float]:
    """Camera/Region.swift: Region.scaled."""
    x, y, width, height = region
    wide, high = (min(max(side * factor, 0.125), 1.0) for side in (width, height))
    return moved([x + (width - wide) / 2, y + (height - high) / 2, wide, high], 0, 0)


def pixels(region: list[float], width: int, height: int) -> list[int]:
    """Camera/Region.swift: Region.pixels, counted from the lower left corner."""
    x, y, wide, high = region
    left, top = math.floor(x * width), math.floor(y * height)
    right, bottom = min(math.ceil((x + wide) * width), width), min(math.ceil((y + high) * height), height)
    return [left, height - bottom, right - left, bottom - top]


def frame(picture: tuple[float, float], view: tuple[float, float]) -> list[float]:
    """Camera/Region.swift: Region.frame."""
    if min(picture) <= 0:
        return [0.0, 0.0, *view]
    scale = min(view[0] / picture[0], view[1] / picture[1])
    wide, high = picture[0] * scale, picture[1] * scale
    return [(view[0] - wide) / 2, (view[1] - high) / 2, wide, high]


def zoom(start: float, pinch: float, least: float, camera: float) -> float:
    """Camera/Region.swift: Zoom.factor."""
    return min(max(start * pinch, least), max(least, min(8.0, camera)))
