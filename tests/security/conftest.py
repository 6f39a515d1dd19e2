"""What files are made with, wherever the tests run."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)
