"""The looks at a claim whose rows get more seeds until it is decided."""

from __future__ import annotations

from dataclasses import dataclass

from .stats import CONFIDENCE


@dataclass(frozen=True)
class Looks:
    """Looks at a claim with `first` seeds, then twice as many each time, and at last with `most`.

    Looking again and again at 95 % intervals, until one decides, errs more often than 5 % of the time.
    So the intervals of each look miss with a probability of 5 % divided by the number of looks: by
    Bonferroni's inequality, the probability that any look's interval misses is at most 5 %, however the
    looks depend on each other. (With so few looks, group sequential boundaries gain little: for three,
    S. Pocock, Biometrika 64 (1977), allows 2.2 % a look instead of 1.7 %, but for equal steps only.)
    """

    first: int
    most: int

    @property
    def seeds(self) -> tuple[int, ...]:
        """The number of seeds at each look."""
        counts = [self.first]
        while counts[-1] < self.most:
            counts.append(min(2 * counts[-1], self.most))
        return tuple(counts)

    @property
    def confidence(self) -> float:
        """The confidence of each look's intervals."""
        return 1 - (1 - CONFIDENCE) / len(self.seeds)
