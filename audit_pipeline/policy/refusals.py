"""What a model refuses, in one line: the key that is wrong, and the cure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from audit_pipeline.errors import did_you_mean

Where = tuple[str | int, ...]
"""Keys and places in lists that lead to a value."""

_UNKNOWN = "extra_forbidden"
_UNKNOWN_CURE = "remove it or correct its spelling"


class PlacedError(ValueError):
    """A value that a validator refuses, and where it is in what the validator was given."""

    def __init__(self, message: str, *where: str | int) -> None:
        super().__init__(message)
        self.where = where


def refusal(err: ValidationError, model: type[BaseModel], value: Any) -> tuple[Where, str]:
    """(where, what is wrong with it) of what `model` refuses first in `value`.

    An unknown key comes first: what is missing beside it is often there, misspelt.
    """
    found = err.errors()
    first = next((one for one in found if one["type"] == _UNKNOWN), found[0])
    where = first["loc"]
    if first["type"] == _UNKNOWN:
        return where, unknown_key(str(where[-1]), _known_keys(model, where[:-1]), _inside_value(value, where[:-1]))
    if first["type"] == "missing":
        return where, "is missing; give it"
    cause = first.get("ctx", {}).get("error")
    return (*where, *cause.where) if isinstance(cause, PlacedError) else where, _message(first["msg"])


def first_message(err: ValidationError) -> str:
    """What is wrong, in one line."""
    return _message(err.errors()[0]["msg"])


def unknown_key(key: str, known: Iterable[str], given: Iterable[str]) -> str:
    """What to say of a key that is not known, beside those that are given: none of them was meant by it."""
    return f"unknown key; {did_you_mean(key, set(known) - set(given), _UNKNOWN_CURE)}"


def dotted(where: Where) -> str:
    """Where it is, in one line whatever the keys are; empty for the whole."""
    return ".".join(" ".join(str(part).split()) for part in where)


def _message(text: str) -> str:
    return text.removeprefix("Value error, ")


def _inside_value(value: Any, where: Where) -> Any:
    """What is there; parts of `where` that are no keys, such as the kind of a channel, are passed over."""
    for part in where:
        if isinstance(value, dict):
            value = value.get(part, value)
        elif isinstance(part, int):
            value = value[part]
    return value


def _known_keys(model: type[BaseModel], where: Where) -> Iterator[str]:
    """The keys that what is at `where` may have, by the model's JSON schema: it tells kinds apart as errors do."""
    schema = model.model_json_schema()
    found: list[Mapping[str, Any]] = [schema]
    for part in where:
        found = [inner for one in _plain(found, schema) for inner in _inside_schema(one, part)]
    for one in _plain(found, schema):
        yield from one.get("properties", ())


def _inside_schema(schema: Mapping[str, Any], part: str | int) -> list[Mapping[str, Any]]:
    kinds = schema.get("discriminator", {}).get("mapping", {})
    named = {**{kind: {"$ref": ref} for kind, ref in kinds.items()}, **schema.get("properties", {})}
    if part in named:
        return [named[part]]
    return [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]


def _plain(schemas: Sequence[Mapping[str, Any]], whole: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas without references and choices."""
    for one in schemas:
        if "$ref" in one:
            yield from _plain([whole["$defs"][one["$ref"].rpartition("/")[2]]], whole)
        elif "anyOf" in one:
            yield from _plain(one["anyOf"], whole)
        else:
            yield one
