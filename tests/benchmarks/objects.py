"""The yardstick for transfers: so many bytes up to an S3 server, or down again, as objects of 64 MiB, and nothing else.

    python objects.py up ENDPOINT BUCKET PREFIX BYTES
    python objects.py down ENDPOINT BUCKET PREFIX BYTES

Plain boto3 in four threads, which was the fastest that it does here. Checks nothing, keeps nothing.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

OBJECT = 64 << 20
THREADS = 4


def main(way: str, endpoint: str, bucket: str, prefix: str, size: str) -> None:
    import boto3
    from botocore.config import Config

    config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)
    total = int(size)
    lengths = [min(OBJECT, total - start) for start in range(0, total, OBJECT)]
    content = os.urandom(OBJECT) if way == "up" else b""

    def move(number: int) -> int:
        key = f"{prefix}/{number}"
        if way == "up":
            client.put_object(Bucket=bucket, Key=key, Body=content[: lengths[number]])
            return lengths[number]
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        return sum(len(piece) for piece in body.iter_chunks(1 << 20))

    with ThreadPoolExecutor(THREADS) as executor:
        moved = sum(executor.map(move, range(len(lengths))))
    if moved != total:
        sys.exit(f"{moved} bytes moved of {total}")


if __name__ == "__main__":
    main(*sys.argv[1:])
