"""The five families of error, by who must act. Each message is one line that names the object and the cure."""

from collections.abc import Iterable


class AuditError(Exception):
    """Anything this package refuses on purpose."""


class InputError(AuditError):
    """The logs or the arguments are wrong: fix them."""


class PolicyError(AuditError):
    """The policy folder is wrong: fix the YAML it names."""


class ProofError(AuditError):
    """Evidence does not hold."""


class BudgetError(AuditError):
    """A privacy budget would be overspent."""


class StorageError(AuditError):
    """A store did not do what it must: retry, or call operations."""


class UnreachableError(StorageError):
    """A store does not answer, or not this identity: nothing is known of what it holds, good or bad."""


def did_you_mean(word: str, known: Iterable[str], otherwise: str, near: float = 0.6) -> str:
    """The cure of a word that is not known: the nearest one that is, or `otherwise` where none is `near`, of 1."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), 1, near)
    return f"did you mean {close[0]}?" if close else otherwise
