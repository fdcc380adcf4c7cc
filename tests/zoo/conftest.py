import pytest
from tests.zoo.cage import Cage


@pytest.fixture
def cage(tmp_path, monkeypatch):
    made = Cage(tmp_path, monkeypatch)
    yield made
    made.forget()
