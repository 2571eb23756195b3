"""Probabilities for each area of generated machines: types of state, languages, fields."""

from typing import Final


class Profile:
    """The probabilities of one area."""

    def __init__(
        self,
        types: str,
        languages: str = "PJM",
        standard: float = 0.15,
        depth: int = 2,
        calls: float = 0.25,
        assign: float = 0.15,
        catch: float = 0.5,
        retry: float = 0.0,
        fail: float = 0.1,
        loop: float = 0.12,
    ) -> None:
        """`types`: a letter for each equally likely type (P T C W S F L M: Pass Task Choice Wait
        Succeed Fail ParalLel Map). `languages`: likewise P for JSONPath, J for JSONata, M for both
        mixed. `depth`: nesting of Parallel and Map. `standard`: type STANDARD, not EXPRESS. All
        others: how often a state or template has an intrinsic call, Assign, Catch, Retry, ends in
        Fail, or a block is a loop.
        """
        self.types, self.languages, self.standard, self.depth = types, languages, standard, depth
        self.calls, self.assign, self.catch, self.retry, self.fail, self.loop = (
            calls,
            assign,
            catch,
            retry,
            fail,
            loop,
        )


PROFILES: Final = {
    "paths": Profile("PPPPPPWC", "P", 0.1, calls=0.05),
    "choice": Profile("CCCCP", "PPJ", 0.1, calls=0.1),
    "intrinsics": Profile("PPPPPL", "P", 0.05, depth=1, calls=0.8),
    "jsonata": Profile("PPPCWLM", "J", 0.1, depth=1),
    "composites": Profile("PLMLMC", "PJM", 0.2, calls=0.1),
    "failures": Profile("PLMFLM", "PJM", 0.3, catch=0.8, retry=0.15, fail=0.4),
    "variables": Profile("PPCLMW", "PJM", 0.2, assign=0.8),
    "histories": Profile("PPCWLM", "PJM", 1.0),
    "twins": Profile("PPCLMWF", "P", 0.0, calls=0.0, assign=0.25, loop=0.0),
    "tasks": Profile("TTPTLMC", "PJM", 1.0, catch=0.6, retry=0.2, depth=1),
}
