"""What every data module is told of loading, and which of it is refused."""

from collections.abc import Sequence
from typing import get_args

from benchmark.data.cache_file import CacheMode
from benchmark.errors import UserError
from benchmark.protocol import View


def require_options(
    batch_size: int,
    num_workers: int,
    test_views: Sequence[View],
    seed: int,
    sampler_seed: int,
    clip_seconds: float | None,
    cache: str | bool,
    cache_gb: float,
) -> None:
    """Refuse options of a data module that mean nothing; see `VideoDataModule`.

    Raises:
        UserError: With the value received, and what is allowed.
    """
    if batch_size < 1 or num_workers < 0:
        raise UserError(
            f"data.batch_size is {batch_size} and data.num_workers is {num_workers}; "
            "the first must be 1 or more, the second 0 or more"
        )
    if not test_views or not set(test_views) <= set(get_args(View)):
        raise UserError(f"data.test_views is {list(test_views)}; name one or more of {', '.join(get_args(View))}")
    if not 0 <= seed < 2**31 or sampler_seed < 0:
        raise UserError(
            f"data.seed is {seed} and data.sampler_seed is {sampler_seed}; "
            "both must be 0 or more, the first below 2**31"
        )
    if clip_seconds is not None and not 0 < clip_seconds < 1e6:
        raise UserError(f"data.clip_seconds is {clip_seconds}; it must be above 0, or null to count frames")
    if not 0 < cache_gb < 1e6:
        raise UserError(f"data.cache_gb is {cache_gb}; it must be above 0")
    if cache not in get_args(CacheMode):
        raise UserError(f"data.cache is {cache}; allowed are off, memory and disk")
