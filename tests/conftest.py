from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what is slow first: of several processes, none is then left alone with it in the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
