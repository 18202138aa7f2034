"""The trials are run from the repository and are no part of any package."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3]))
