"""Texts that nearly repeat earlier ones, found by one SQL query in time that grows with the words, not with pairs.

MinHash: of a text's runs of three words, the least of each of twelve hashes; texts that share three of them in a row of
four are compared with the first such text by the share of runs they have in common (Jaccard). Of two texts that are 80%
alike 94 in 100 are found, of 90% 99 in 100.
"""

_HASHES = 12
_ROWS = 3  # hashes of a band; a pair meets in one of four bands

_SKETCH = ", ".join(f"min(hash(gram, {seed})) AS h{seed}" for seed in range(_HASHES))
_BANDS = ", ".join(
    f"hash({first}, {', '.join(f'h{seed}' for seed in range(first, first + _ROWS))})"
    for first in range(0, _HASHES, _ROWS)
)


def near_repeats_query(texts: str, name: str, likeness: float) -> str:
    """SQL for the rows `name` of the texts that are alike an earlier one. `texts`: a query of `name` and `text`."""
    return f"""
        WITH given AS ({texts}),
        items AS MATERIALIZED (SELECT min({name}) AS item, plain(text) AS words FROM given GROUP BY words),
        grams AS MATERIALIZED (
            SELECT DISTINCT item, hash(gram) AS gram FROM (
                SELECT item, unnest(list_zip(said, said[2:], said[3:])) AS gram
                FROM (SELECT item, string_split(words, ' ') AS said FROM items WHERE words <> '')
            )
        ),
        bands AS (SELECT item, unnest([{_BANDS}]) AS band FROM (SELECT item, {_SKETCH} FROM grams GROUP BY item)),
        firsts AS (SELECT band, min(item) AS first FROM bands GROUP BY band HAVING count(*) > 1),
        pairs AS (SELECT DISTINCT item, first FROM bands JOIN firsts USING (band) WHERE item <> first),
        sizes AS (SELECT item, count(*) AS size FROM grams GROUP BY item),
        common AS (
            SELECT pairs.item, pairs.first, count(*) AS common FROM pairs
            JOIN grams AS one ON one.item = pairs.item
            JOIN grams AS two ON two.item = pairs.first AND two.gram = one.gram GROUP BY ALL
        )
        SELECT DISTINCT common.item AS {name} FROM common
        JOIN sizes AS one ON one.item = common.item JOIN sizes AS two ON two.item = common.first
        WHERE common.common >= {likeness} * (one.size + two.size - common.common) ORDER BY ALL
    """  # noqa: S608 - a policy's own query, in a database that reaches nothing else
