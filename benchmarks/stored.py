"""What a lake of the benchmark stores, counted on the disk."""

from pathlib import Path

from peers import data_files


def count_stored(home: Path, landed: Path) -> dict[str, int]:
    """Bytes by area, and how many data files `records` has; `snapshot_records`: records of its largest snapshot."""
    import pyarrow.parquet as pq

    records = home / "lake" / "restricted" / "records"
    files = data_files(home)
    data_bytes = sum(Path(name).stat().st_size for name in files)
    commit_bytes = sum(file.stat().st_size for file in (records / "_delta_log").glob("[0-9]*.json"))
    sources = pq.ParquetDataset(data_files(home, "sources"), partitioning=None).read(["records"])
    return {
        "landed_bytes": landed.stat().st_size,
        "data_files": len(files),
        "data_bytes": data_bytes,
        "commit_bytes": commit_bytes,
        "other_bytes": _bytes_below(home / "lake") - data_bytes - commit_bytes,
        "evidence_bytes": _bytes_below(home / "evidence"),
        "snapshot_records": max(sources.column("records").to_pylist()),
    }


def _bytes_below(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
