"""Settings of the process that make training faster without changing a result that matters."""

import ctypes
import sys

import torch

# glibc's mallopt: never hand large blocks back to the system, which would clear and map them again every step.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_KEPT_BYTES = 2**31 - 1
_GROWTH_BYTES = 128 * 2**20


def tune_process() -> None:
    """Flush denormal numbers to zero, and keep freed memory; call it before the first parallel operation.

    The momentum of weights behind dead ReLUs decays into denormal numbers, which processors handle slowly. A step that
    allocates its activations anew spends part of its time in the system's page faults. Both settings are
    inherited by threads and by forked loader workers.
    """
    torch.set_flush_denormal(True)
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # a C library other than glibc
        return
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_TOP_PAD, _GROWTH_BYTES)
    mallopt(_M_MMAP_MAX, 0)
