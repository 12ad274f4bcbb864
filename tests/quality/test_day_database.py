"""The database a day is judged in: what it computes, and that it reaches nothing."""

import math
import random
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from audit_pipeline.quality.day_database import day_database
from audit_pipeline.quality.near_repeats import near_repeats_query
from tests.quality.day import text

ROWS = pa.table({"event_id": ["a", "b"], "x": [1.0, 2.0]})


def test_parts_are_one_table_with_the_columns_types() -> None:
    with day_database({"day": (ROWS.schema, [ROWS, ROWS.slice(0, 1)])}) as database:
        assert database.execute("SELECT event_id, x FROM day").fetchall() == [("a", 1.0), ("b", 2.0), ("a", 1.0)]


def test_a_table_without_rows_is_there() -> None:
    with day_database({"day": (ROWS.schema, [])}) as database:
        assert database.execute("SELECT count(x) FROM day").fetchone() == (0,)


@pytest.mark.parametrize(
    "sql", ["FROM read_text('/etc/hostname')", "COPY day TO '/tmp/copied.csv'", "SET enable_external_access = true"]
)
def test_a_query_reaches_no_file_and_cannot_undo_that(sql: str) -> None:
    with (
        day_database({"day": (ROWS.schema, [ROWS])}) as database,
        pytest.raises((duckdb.PermissionException, duckdb.InvalidInputException)),
    ):
        database.execute(sql)


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    with day_database({"day": (ROWS.schema, [ROWS])}):
        assert list(tmp_path.iterdir())

    assert list(tmp_path.iterdir()) == []


def test_the_interval_of_a_share_is_wilsons() -> None:
    """Agresti and Coull's formula, at 99%: z = 2.576."""
    hits, n, z = 37, 120, 2.5758293
    share = hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)

    with day_database({}) as database:
        low, high = database.execute(f"SELECT share_low({hits}, {n}), share_high({hits}, {n})").fetchone() or (0, 0)

    assert (low, high) == pytest.approx((middle - spread, middle + spread), abs=1e-4)


def test_the_interval_of_a_correlation_is_fishers() -> None:
    with day_database({}) as database:
        low, high = database.execute("SELECT corr_low(0.6, 100), corr_high(0.6, 100)").fetchone() or (0, 0)
        ends = database.execute("SELECT corr_low(1.0, 100), corr_high(-1.0, 100)").fetchone()

    assert (low, high) == pytest.approx(
        (math.tanh(math.atanh(0.6) - 2.576 / math.sqrt(97)), math.tanh(math.atanh(0.6) + 2.576 / math.sqrt(97)))
    )
    assert ends == (1.0, -1.0)


def test_a_text_is_one_however_it_is_kept() -> None:
    with day_database({}) as database:
        said = database.execute(
            "SELECT spoken('t', [{'role': 'user', 'content': 'm'}], [1]), "
            "spoken(NULL, [{'role': 'user', 'content': 'm'}, {'role': 'assistant', 'content': 'n'}], NULL), "
            "spoken(NULL, NULL, [1, 2]), spoken(NULL, NULL, NULL), plain(' Ein  «Wort», zwei!')"
        ).fetchone()

    assert said == ("t", "user: m\nassistant: n", "[1, 2]", None, "ein wort zwei")


def near_repeats(texts: dict[str, str], likeness: float) -> set[str]:
    rows = pa.table({"event_id": list(texts), "text": list(texts.values())})
    with day_database({"day": (rows.schema, [rows])}) as database:
        query = near_repeats_query("SELECT event_id, text FROM day", "event_id", likeness)
        return {name for (name,) in database.execute(query).fetchall()}


def jaccard(one: str, other: str) -> float:
    grams = [set(zip(said, said[1:], said[2:], strict=False)) for said in (one.split(), other.split())]
    return len(grams[0] & grams[1]) / len(grams[0] | grams[1])


def test_near_repeats_are_those_of_comparing_every_pair() -> None:
    """Of 200 pairs with a few words changed; MinHash may miss some that are just alike enough, and adds none."""
    rng = random.Random(5)
    firsts = {f"a{n:03}": text(rng, 60) for n in range(200)}
    seconds = {}
    for number, (name, said) in enumerate(firsts.items()):
        words = said.split()
        for at in rng.sample(range(60), number % 8):
            words[at] = f"new{at}"
        seconds[name.replace("a", "b")] = " ".join(words)
    alike = {name for name in seconds if 0.8 <= jaccard(seconds[name], firsts[name.replace("b", "a")]) < 1}

    found = near_repeats({**firsts, **seconds}, 0.8)

    assert found <= alike
    assert len(found) >= 0.9 * len(alike) > 40


def test_the_same_text_is_one_item_and_no_near_repeat() -> None:
    """items_repeated says that; here it would be said twice."""
    said = text(random.Random(1), 40)

    assert near_repeats({"a": said, "b": said}, 0.8) == set()
