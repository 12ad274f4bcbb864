"""YAML documents that know the line of each value, so that an error can name it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from audit_pipeline.errors import PolicyError

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document, or a part of one, that knows the line of each of its values."""

    file: Path
    node: yaml.Node

    def child(self, *keys: str | int) -> "Document":
        """The part at `keys`, or the deepest part on the way that exists."""
        node = self.node
        for key in keys:
            if isinstance(node, yaml.MappingNode):
                found = [value for name, value in node.value if name.value == str(key)]
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
                found = node.value[key : key + 1]
            else:
                found = []
            if not found:
                break
            node = found[0]
        return dataclasses.replace(self, node=node)

    def parse(self, model: type[Model]) -> Model:
        loader = yaml.SafeLoader("")
        try:
            return model.model_validate(loader.construct_document(self.node))
        except ValidationError as err:
            where = err.errors()[0]["loc"]
            line = self.child(*where).node.start_mark.line + 1
            name = ".".join(map(str, where)) or "attributes"
            raise PolicyError(f"{self.file}:{line}: {name}: {first_message(err)}") from err
        except yaml.YAMLError as err:
            raise PolicyError(f"{self.file}: {' '.join(str(err).split())}") from err


def read_documents(file: Path, text: str) -> list[Document]:
    try:
        nodes = list(yaml.compose_all(text, yaml.SafeLoader))
    except yaml.YAMLError as err:
        raise PolicyError(f"{file}: not YAML: {' '.join(str(err).split())}") from err
    documents = [Document(file, node) for node in nodes if node is not None]
    for document in documents:
        _refuse_repeated_keys(document)
    return documents


def _refuse_repeated_keys(document: Document) -> None:
    node = document.node
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                # YAML readers keep the last one and say nothing: a stream could vanish.
                raise PolicyError(f"{document.file}:{key.start_mark.line + 1}: {key.value!r} is given twice; keep one")
            seen.add(key.value)
    children = [v for _, v in node.value] if isinstance(node, yaml.MappingNode) else node.value
    for child in children if isinstance(node, yaml.CollectionNode) else ():
        _refuse_repeated_keys(dataclasses.replace(document, node=child))


def read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise PolicyError(f"{file}: cannot be read: {err}") from err


def first_message(err: ValidationError) -> str:
    """What is wrong, in one line."""
    first = err.errors()[0]
    if first["type"] == "extra_forbidden":
        return "unknown key; remove it or correct its spelling"
    return first["msg"].removeprefix("Value error, ")
