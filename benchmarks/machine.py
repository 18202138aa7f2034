"""What the figures were measured on, in words."""

import os
import platform
from pathlib import Path


def described() -> str:
    """Cores, processor and system."""
    return f"{os.cpu_count()} cores ({processor()}), {system()}"


def system() -> str:
    """Its name and release."""
    return f"{platform.system()} {platform.release()}"


def processor() -> str:
    """The first core's, by its maker's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
