#!/usr/bin/env python3
"""Open the Parquet shards under a folder with pyarrow, DuckDB and Hugging Face datasets.

    pip install pyarrow duckdb datasets
    python scripts/open_shards.py runs/latest/codes

Checks that each reader sees the same rows in the same order, that codes are lists of unsigned
16-bit integers without nulls, and that Hugging Face takes its features from the footer. Prints
what it saw; exits with 1 at the first difference.
"""

import json
import sys
import tempfile
from pathlib import Path


def fail(message):
    print(f"open_shards: {message}", file=sys.stderr)
    sys.exit(1)


def main():
    if len(sys.argv) != 2:
        fail("usage: open_shards.py DIR")
    folder = Path(sys.argv[1])
    files = sorted(str(path) for path in folder.rglob("*.parquet"))
    if not files:
        fail(f"no .parquet under {folder}")

    import datasets
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = [pq.read_table(path) for path in files]
    table = pa.concat_tables(tables)
    levels = [name for name in table.column_names if name.startswith("codes_")]
    if not levels:
        fail("no column codes_0")
    for name in levels:
        kind = table.schema.field(name).type
        if not (pa.types.is_list(kind) and kind.value_type == pa.uint16()):
            fail(f"pyarrow reads {name} as {kind}, not list<uint16>")
        values = table.column(name).combine_chunks()
        if table.column(name).null_count or values.flatten().null_count:
            fail(f"{name} has nulls")
    rows = table.to_pylist()
    print(f"pyarrow {pa.__version__}: {len(rows)} rows of {len(files)} files, {levels[0]} is "
          f"{table.schema.field(levels[0]).type}")

    duck = duckdb.connect()
    cursor = duck.execute("SELECT * FROM read_parquet(?)", [files])
    names = [column[0] for column in cursor.description]
    kinds = {column[0]: str(column[1]) for column in cursor.description}
    duck_rows = [dict(zip(names, row)) for row in cursor.fetchall()]
    for name in levels:
        if kinds[name] != "USMALLINT[]":
            fail(f"DuckDB reads {name} as {kinds[name]}, not USMALLINT[]")
    if duck_rows != rows:
        fail("DuckDB reads other rows than pyarrow")
    print(f"duckdb {duckdb.__version__}: {len(duck_rows)} rows, {levels[0]} is {kinds[levels[0]]}")

    with tempfile.TemporaryDirectory() as cache:
        found = datasets.load_dataset(
            "parquet", data_files={"shards": files}, split="shards", cache_dir=cache
        )
        for name in levels:
            feature = found.features[name]
            if getattr(getattr(feature, "feature", None), "dtype", None) != "uint16":
                fail(f"datasets reads {name} as {feature}")
        stated = json.loads(pq.read_metadata(files[0]).metadata[b"huggingface"])
        if datasets.Features.from_dict(stated["info"]["features"]) != found.features:
            fail("datasets infers other features than the footer states")
        if found.to_list() != rows:
            fail("datasets reads other rows than pyarrow")
        print(f"datasets {datasets.__version__}: {len(found)} rows, {levels[0]} is "
              f"{found.features[levels[0]]}")

    for name in levels:
        lengths = [len(row[name]) for row in rows]
        top = max((code for row in rows for code in row[name]), default=None)
        print(f"{name}: {sum(lengths)} codes, {min(lengths)} to {max(lengths)} a row, largest {top}")
    splits = sorted({row["split"] for row in rows})
    print("equal content in all three; splits: " + ", ".join(splits))


if __name__ == "__main__":
    main()
