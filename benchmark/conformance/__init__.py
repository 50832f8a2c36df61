"""What every architecture must do, as `python -m benchmark check` and as tests for a package of its own."""

from benchmark.conformance.checks import CHECKS, run_check
from benchmark.conformance.subject import Finding, Subject
from benchmark.conformance.suite import ConformanceSuite

__all__ = ["CHECKS", "ConformanceSuite", "Finding", "Subject", "run_check"]
