"""YAML documents that know the line of each value, so that an error can name it."""

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.reader import ReaderError

from audit_pipeline.errors import PolicyError
from audit_pipeline.policy.refusals import dotted, refusal

Model = TypeVar("Model", bound=BaseModel)

_MOST_DEEP = 50  # a policy has four levels; PyYAML calls itself for each, and Python bounds that
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
# Besides its own, PyYAML lets through what int(), float() and chr() raise: of `0x_`, of 5000 digits, of "\U00110000".
_UNREADABLE = (yaml.YAMLError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document, or a part of one, that knows the line of each of its values."""

    file: Path
    node: yaml.Node

    def child(self, *keys: str | int) -> "Document":
        """The part at `keys`; those that do not exist are passed over."""
        node = self.node
        for key in keys:
            if isinstance(node, yaml.MappingNode):
                found = [value for name, value in node.value if name.value == str(key)]
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
                found = node.value[key : key + 1]
            else:
                found = []
            node = found[0] if found else node
        return dataclasses.replace(self, node=node)

    @property
    def line(self) -> int:
        """From 1."""
        return int(self.node.start_mark.line) + 1

    def line_of(self, *keys: str | int) -> int:
        """The line of the last of `keys`, not of its value, which may begin below it."""
        within = self.child(*keys[:-1])
        if keys and isinstance(within.node, yaml.MappingNode):
            for key, _ in within.node.value:
                if key.value == str(keys[-1]):
                    return int(key.start_mark.line) + 1
        return self.child(*keys).line

    @property
    def keys(self) -> list[str]:
        """Of a mapping, in order."""
        return [key.value for key, _ in self.node.value] if isinstance(self.node, yaml.MappingNode) else []

    def parse(self, model: type[Model]) -> Model:
        value = self.plain()
        try:
            return model.model_validate(value)
        except ValidationError as err:
            where, message = refusal(err, model, value)
            name = dotted(where) or "attributes"
            raise PolicyError(f"{self.file}:{self.line_of(*where)}: {name}: {message}") from err

    def plain(self) -> Any:
        """What the models judge. A time stays text: PyYAML would refuse a day that no calendar has in its own way."""
        node = self.node
        if isinstance(node, yaml.MappingNode):
            return {key.value: dataclasses.replace(self, node=value).plain() for key, value in node.value}
        if isinstance(node, yaml.SequenceNode):
            return [dataclasses.replace(self, node=value).plain() for value in node.value]
        if node.tag == _TIMESTAMP:
            return node.value
        try:
            return yaml.SafeLoader("").construct_document(node)
        except _UNREADABLE as err:
            raise PolicyError(f"{self.file}:{self.line}: {node.value[:40]!r} has no value; put it in quotes") from err


@functools.lru_cache(maxsize=256)
def read_documents(file: Path, text: str) -> tuple[Document, ...]:
    """The documents of a file's text, in order, with plain values and no key twice in a mapping.

    Kept, because each step of a run loads the policy anew: for its files may have changed, but seldom have.

    Raises:
        PolicyError: it names the file and the line.
    """
    _refuse_references(file, text)
    documents = tuple(Document(file, node) for node in yaml.compose_all(text, yaml.SafeLoader) if node is not None)
    for document in documents:
        _refuse_keys(document)
    return documents


def _refuse_references(file: Path, text: str) -> None:
    """Refuse what makes a value other than its text says: an alias may even lie inside its own anchor."""
    depth = 0
    for event in _parse(file, text):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            found = "an alias (*); write the value out"
        elif getattr(event, "anchor", None) is not None:
            found = "an anchor (&); remove it"
        elif getattr(event, "tag", None) is not None:
            found = "a tag (!); remove it"
        elif depth > _MOST_DEEP:
            found = f"more than {_MOST_DEEP} levels deep; write it flatter"
        else:
            continue
        line = event.start_mark.line + 1 if event.start_mark else 1
        raise PolicyError(f"{file}:{line}: {found}")


def _parse(file: Path, text: str) -> list[yaml.Event]:
    """The events of a text; composing it then finds nothing more to refuse."""
    try:
        loader = yaml.SafeLoader(text)
    except ReaderError as err:
        line = text.count("\n", 0, err.position) + 1
        raise PolicyError(f"{file}:{line}: not YAML: has the character {err.character!r}; remove it") from err
    try:
        return list(_events(loader))
    except _UNREADABLE as err:
        line = getattr(err, "problem_mark", loader).line + 1
        raise PolicyError(f"{file}:{line}: not YAML: {getattr(err, 'problem', err)}; correct this line") from err


def _events(loader: yaml.SafeLoader) -> Iterator[yaml.Event]:
    while loader.check_event():
        yield loader.get_event()  # type: ignore[no-untyped-call]


def _refuse_keys(document: Document) -> None:
    """Refuse a key that is given twice, or that is no plain text."""
    node = document.node
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                raise PolicyError(f"{document.file}:{line}: a key that is no plain text; write a name and a colon")
            if key.value in seen:
                # YAML readers keep the last one and say nothing: a stream could vanish.
                raise PolicyError(f"{document.file}:{key.start_mark.line + 1}: {key.value!r} is given twice; keep one")
            seen.add(key.value)
    children = [v for _, v in node.value] if isinstance(node, yaml.MappingNode) else node.value
    for child in children if isinstance(node, yaml.CollectionNode) else ():
        _refuse_keys(dataclasses.replace(document, node=child))


def read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as err:
        raise unreadable(file, err) from err
    except UnicodeDecodeError as err:
        line = err.object.count(b"\n", 0, err.start) + 1
        raise PolicyError(f"{file}:{line}: not UTF-8; save the file as UTF-8") from err


def unreadable(file: Path, err: OSError) -> PolicyError:
    """What to say of a file of the policy that is there and cannot be read."""
    cure = "give this user read access" if isinstance(err, PermissionError) else "restore it, or remove the name"
    return PolicyError(f"{file}: cannot be read: {err.strerror}; {cure}")
