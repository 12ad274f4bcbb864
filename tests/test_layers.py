"""Imports go down only, and the auditor's part stands on the standard library and `cryptography` alone."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "audit_pipeline"
FACE, APPLICATION, SOURCES, ADAPTERS, DOMAIN, ERRORS = 5, 4, 3, 2, 1, 0
LAYERS = {
    "errors": ERRORS,
    "tlog": DOMAIN,
    "records": DOMAIN,
    "privacy": DOMAIN,
    "quality": DOMAIN,
    "alerts": DOMAIN,
    "report": DOMAIN,
    "containers": ADAPTERS,
    "formats": ADAPTERS,
    "lake": ADAPTERS,
    "signers": ADAPTERS,
    "attest": ADAPTERS,
    "channels": ADAPTERS,
    "sources": SOURCES,
    "policy": APPLICATION,
    "ingest": APPLICATION,
    "derive": APPLICATION,
    "sealing": APPLICATION,
    "appending": APPLICATION,
    "publishing": APPLICATION,
    "rotation": APPLICATION,
    "inventory": APPLICATION,
    "judging": APPLICATION,
    "verify": APPLICATION,
    "verifications": APPLICATION,
    "alert_rows": APPLICATION,
    "alerting": APPLICATION,
    "watches": APPLICATION,
    "audit_trail": APPLICATION,
    "check": APPLICATION,
    "lookup": APPLICATION,
    "prove": APPLICATION,
    "releasing": APPLICATION,
    "reporting": APPLICATION,
    "samples": APPLICATION,
    "components": FACE,
    "definitions": FACE,
    "cli": FACE,
    "demo": FACE,
    "doctor": FACE,
    "airflow": FACE,
}
ALONE = ("check", "tlog", "records/canonical.py", "errors.py", "__init__.py", "records/__init__.py")
"""What an auditor reads and runs: it may import the standard library, `cryptography` and itself."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def imported_modules(path: Path) -> set[str]:
    """Full names of the modules a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def layer_of(module: str) -> int | None:
    part = module.removeprefix("audit_pipeline").lstrip(".").split(".")[0]
    return LAYERS.get(part)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_go_down_only(path: Path) -> None:
    name = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if name == "__init__":
        return
    assert name in LAYERS, f"{name}: give the new module a layer"
    for module in imported_modules(path):
        if module.startswith("audit_pipeline."):
            below = layer_of(module)
            assert below is not None, f"{path.name} imports {module}, which has no layer"
            assert below <= LAYERS[name], f"{path.name} imports {module} from a layer above"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_the_auditors_part_needs_only_the_standard_library_and_cryptography(path: Path) -> None:
    relative = path.relative_to(PACKAGE).as_posix()
    if not any(relative == part or relative.startswith(f"{part}/") for part in ALONE):
        return
    allowed = sys.stdlib_module_names | {"cryptography", "audit_pipeline"}
    for module in imported_modules(path):
        assert module.split(".")[0] in allowed, f"{relative} imports {module}"
        if module.startswith("audit_pipeline."):
            inner = module.removeprefix("audit_pipeline.").replace(".", "/")
            assert any(
                inner == part.removesuffix(".py") or inner.startswith(f"{part.removesuffix('.py')}/") for part in ALONE
            )


def test_only_the_face_knows_dagster() -> None:
    knows = {
        path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for path in MODULES
        if any(module.split(".")[0] == "dagster" for module in imported_modules(path))
    }
    assert all(LAYERS[name] == FACE for name in knows)


def test_no_private_dagster_name_is_used() -> None:
    for path in MODULES:
        assert not [module for module in imported_modules(path) if module.startswith("dagster._")], path


def test_broad_excepts_are_nowhere() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception")
                assert not broad, f"{path}:{node.lineno}: name the error"
