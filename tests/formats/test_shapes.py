"""Each tool's files are told by what is in them, and from each other's."""

from pathlib import PurePosixPath

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.detect import detect
from tests.formats.shapes import SHAPES, Shape

NOT_LANDED = {"mapped_csv": "a table whose columns mean what the policy says"}
BY_PATH = {
    "weights": "kept as their hash, by the ending of their name",
    "mlflow_file_store": "values and numbers alone: that they are of a run is said by its folder",
}
ALL = [pytest.param(name, shape, id=f"{name}-{at}") for name, of in SHAPES.items() for at, shape in enumerate(of)]


def test_every_tool_has_a_file_to_be_told_by() -> None:
    assert SHAPES.keys() == {adapter.name for adapter in ADAPTERS.values() if adapter.has_events}
    assert {name for name, of in SHAPES.items() if not all(shape.content for shape in of)} == NOT_LANDED.keys()
    assert all(shape.values for of in SHAPES.values() for shape in of)


@pytest.mark.parametrize(("name", "shape"), ALL)
def test_a_file_is_told_by_its_content(name: str, shape: Shape) -> None:
    """Whatever it is called. Another adapter within the margin would make it nobody's."""
    if name in NOT_LANDED:
        return
    paths = [shape.path] if name in BY_PATH else [shape.path, f"x/y{PurePosixPath(shape.path).suffix}"]
    for path in paths:
        found = detect(path, shape.content, len(shape.content), tail=shape.content)

        assert (found.format, found.container) == (name, shape.container), found.evidence


def test_what_is_said_to_be_told_by_its_path_is() -> None:
    for name in BY_PATH:
        for shape in SHAPES[name]:
            assert detect("x/y", shape.content, len(shape.content), tail=shape.content).format != name
