"""`make test-apiserver` runs these tests, and starts the API server for them; other runs of pytest leave them out."""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.system.apiserver.cluster import Namespace

collect_ignore_glob = [] if "KUBERNETES_VERSION" in os.environ else ["test_*.py"]


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A namespace that enforces the restricted Pod Security profile."""
    with Namespace(f"t{uuid4().hex[:8]}") as made:
        yield made
