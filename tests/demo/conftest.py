"""What the demo's tests share: the real models, made once."""

from __future__ import annotations

import pytest

from tidegate_demo import models
from tidegate_demo.models import Models


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return models.prepare(tmp_path_factory.mktemp("models"))
