"""What the operator's tests share, for those of the tools that follow Git."""

from tests.operator.conftest import spec_schema
from tests.operator.kube.conftest import api, connect, namespace

__all__ = ["api", "connect", "namespace", "spec_schema"]
