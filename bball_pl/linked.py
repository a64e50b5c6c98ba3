"""What hangs together by links, however long the chain (union-find)."""

from __future__ import annotations

from collections.abc import Hashable


class Linked:
    """Things that hang together: whoever is linked with one of a cluster belongs to it (union-find)."""

    def __init__(self) -> None:
        self._above: dict[Hashable, Hashable] = {}

    def root(self, thing: Hashable) -> Hashable:
        """Return the thing that stands for the cluster."""
        while (above := self._above.setdefault(thing, thing)) != thing:
            self._above[thing] = thing = self._above.setdefault(above, above)
        return thing

    def link(self, one: Hashable, other: Hashable) -> None:
        """Put two things, and what they are linked with, into one cluster."""
        self._above[self.root(other)] = self.root(one)
