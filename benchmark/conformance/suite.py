"""The checks as tests: a package that adds an architecture derives one class from this one."""

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmark.conformance.checks import CHECKS, run_check
from benchmark.conformance.subject import Subject
from benchmark.plugins import load_plugins


class ConformanceSuite:
    """Tests of one architecture; pytest collects the methods of a subclass whose name begins with `Test`.

    A subclass sets `class_path`, and `options` that make the network small enough to be tested in seconds.
    """

    class_path: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    steps: ClassVar[int] = 30
    _subject: ClassVar[Subject]

    def _require(self, name: str) -> None:
        cls = type(self)
        if "_subject" not in vars(cls):  # one for all tests of a class
            load_plugins()  # for the short name of the package's own class
            cls._subject = Subject.of(self.class_path, self.options, steps=self.steps)
        found = run_check(CHECKS[name], cls._subject)
        if found:
            raise AssertionError("\n".join(f"{finding.problem}; {finding.change}" for finding in found))

    def test_declaration(self) -> None:
        """The frames it reads lie in the clip, and its input in the frame."""
        self._require("declaration")

    def test_shapes(self) -> None:
        """Logits are (B, K), floating point and finite."""
        self._require("shapes")

    def test_no_clips(self) -> None:
        """A batch without clips gives (0, K) and a gradient of zero."""
        self._require("no_clips")

    def test_frames(self) -> None:
        """Each declared frame matters, and the clips that are handed in stay as they are."""
        self._require("frames")

    def test_gradients(self) -> None:
        """Every parameter that is trained gets a finite gradient."""
        self._require("gradients")

    def test_seed(self) -> None:
        """One seed gives one network and one output."""
        self._require("seed")

    def test_state_dict(self) -> None:
        """A new network with the saved weights gives the same output."""
        self._require("state_dict")

    def test_batch_independence(self) -> None:
        """A clip's logits are equal alone and among others."""
        self._require("batch_independence")

    def test_layer_groups(self) -> None:
        """The groups hold each parameter once, and the last one makes the logits."""
        self._require("layer_groups")

    def test_bfloat16(self) -> None:
        """Logits and gradients are finite in bfloat16."""
        self._require("bfloat16")

    def test_learning(self) -> None:
        """The loss on eight clips falls."""
        self._require("learning")

    def test_schedules(self) -> None:
        """Every scheduler that it configures is stepped."""
        self._require("schedules")
