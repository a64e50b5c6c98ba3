"""What comparing two models on the same photos says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Change = Literal["only A right", "only B right", "both wrong"]
#: In the order in which the photos that changed are listed.
CHANGES: tuple[Change, ...] = ("only A right", "only B right", "both wrong")


@dataclass(frozen=True)
class Difference:
    """One figure of two models on the same photos.

    Attributes:
        a: of model A.
        b: of model B.
        difference: B - A.
        interval95: paired bootstrap interval of the difference as [low, high]; None if there is only one group to draw.
    """

    a: float
    b: float
    difference: float
    interval95: list[float] | None


@dataclass(frozen=True)
class ChangedAnswer:
    """A photo that the two models answer differently; the attributes are the columns of `changed.csv`.

    Attributes:
        path: of the photo below the dataset's root.
        class_name: the true one.
        predicted_a: class that model A answers.
        predicted_b: class that model B answers.
        confidence_a: of A in its answer, 0–1.
        confidence_b: of B in its answer, 0–1.
        change: which of the two is right, if any.
    """

    path: str
    class_name: str
    predicted_a: str
    predicted_b: str
    confidence_a: float
    confidence_b: float
    change: Change


@dataclass(frozen=True)
class Comparison:
    """What the answers of two models to the same photos say about them.

    Attributes:
        name_a: of the first model, such as its run.
        name_b: of the second, which is hoped to be better.
        n: number of photos.
        groups: number of named groups; 0 if none are known, and photos were drawn one by one.
        accuracy: shares of right answers, 0–1.
        macro_f1: over the classes that have photos, 0–1.
        nll: in nats; less is better.
        only_a: McNemar's b, the number of photos that only A answers rightly.
        only_b: McNemar's c, the number of photos that only B answers rightly.
        p_value: of McNemar's exact two-sided test.
        changed: the photos with another answer: first those that only A has right, then those that only B has right,
            then those that both have wrong.
    """

    name_a: str
    name_b: str
    n: int
    groups: int
    accuracy: Difference
    macro_f1: Difference
    nll: Difference
    only_a: int
    only_b: int
    p_value: float
    changed: list[ChangedAnswer]

    @property
    def winner(self) -> Literal["A", "B"] | None:
        """The model with the higher accuracy, if both the test (p < 0.05) and the interval say so.

        Both, because each has a weak side: the test takes the photos of a game for independent, and the percentile
        interval is a little too narrow with few photos.
        """
        if not (self._interval_decides and self.p_value < 0.05):
            return None
        return "B" if self.accuracy.difference > 0 else "A"

    @property
    def agrees(self) -> bool:
        """Whether the interval, if there is one, and the test say the same: a difference, or none that can be told."""
        return self.accuracy.interval95 is None or self._interval_decides == (self.p_value < 0.05)

    @property
    def _interval_decides(self) -> bool:
        interval = self.accuracy.interval95
        return interval is not None and not interval[0] <= 0 <= interval[1]
