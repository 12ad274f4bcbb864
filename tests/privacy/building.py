"""The trusted core as it is, or with one thing in it changed: modules made afresh from changed sources."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

PACKAGE = Path(__file__).resolve().parents[2] / "audit_pipeline"
_AFRESH = ("audit_pipeline.privacy", "audit_pipeline.releasing")
_ADAPTERS = ("audit_pipeline.lake.reservations", "audit_pipeline.lake.published")
_MODULES = {
    "unit": "audit_pipeline.privacy.unit",
    "price": "audit_pipeline.privacy.price",
    "rows": "audit_pipeline.privacy.rows",
    "statistics": "audit_pipeline.privacy.statistics",
    "mechanisms": "audit_pipeline.privacy.mechanisms",
    "release": "audit_pipeline.privacy.release",
    "ledger": "audit_pipeline.privacy.ledger",
    "reservations": "audit_pipeline.lake.reservations",
    "published": "audit_pipeline.lake.published",
    "releasing": "audit_pipeline.releasing.releasing",
}


class Build(SimpleNamespace):
    """The modules of one build, under short names."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@contextmanager
def build_with(changes: Mapping[str, Mapping[str, str]]) -> Iterator[Build]:
    """A build in which, in the source of each named file, each old text is replaced by a new one."""
    sources = {}
    for file, replaced in changes.items():
        text = (PACKAGE / file).read_text()
        for old, new in replaced.items():
            assert text.count(old) == 1, f"{file}: the mutant's text is there {text.count(old)} times: {old!r}"
            text = text.replace(old, new)
        sources[f"audit_pipeline.{file.removesuffix('.py').replace('/', '.')}"] = text
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_afresh(name)}
    parents = {name: dict(vars(sys.modules[name])) for name in ("audit_pipeline", "audit_pipeline.lake")}
    finder = _Changed(sources)
    sys.meta_path.insert(0, finder)
    try:
        yield Build(**{short: importlib.import_module(name) for short, name in _MODULES.items()})
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _is_afresh(name)]:
            del sys.modules[name]
        sys.modules.update(kept)
        for name, attributes in parents.items():
            vars(sys.modules[name]).update(attributes)


def _is_afresh(name: str) -> bool:
    return name in _ADAPTERS or any(name == part or name.startswith(f"{part}.") for part in _AFRESH)


class _Changed(MetaPathFinder, Loader):
    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name in self._sources else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._sources[module.__name__], f"<changed {module.__name__}>", "exec"), vars(module))
