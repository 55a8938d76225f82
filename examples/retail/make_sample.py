"""Makes the carried sample from the whole UCI "Online Retail" file: `make_sample.py online_retail.csv.gz`.

All invoices of every 36th customer, every 36th invoice without CustomerID, and two invoices that have been
trouble: the largest one, and the one whose lines are not adjacent. The lines are unchanged and in their order.
"""

import csv
import gzip
import io
import sys
import zlib
from pathlib import Path

KEEP = 36
ALWAYS = {"573585", "542806"}


def kept(invoice: str, customer: str) -> bool:
    return invoice in ALWAYS or zlib.crc32((customer or invoice).encode()) % KEEP == 0


def main(whole: Path, sample: Path) -> None:
    text = io.StringIO(newline="")
    with gzip.open(whole, "rt", encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(next(rows))
        writer.writerows(row for row in rows if kept(row[0], row[6]))
    with sample.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(text.getvalue().encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).with_name("online_retail_sample.csv.gz"))
