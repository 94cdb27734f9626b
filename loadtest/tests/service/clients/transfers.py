"""boto3 against Bulkhead: transfer manager, checksums, conditional writes, and no pause after an early answer."""

import hashlib
import io
import os
import time

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

MIB = 1 << 20
PAUSE_MAX = 5.0

s3 = boto3.client("s3", config=Config(retries={"max_attempts": 1}, max_pool_connections=1))
bucket = "boto3-transfers"
s3.create_bucket(Bucket=bucket)


def timed(what, call):
    begun = time.monotonic()
    try:
        return call()
    finally:
        took = time.monotonic() - begun
        assert took < PAUSE_MAX, f"{what} took {took:.1f} s"


def refused(code, call):
    try:
        call()
    except ClientError as error:
        found = error.response["Error"]["Code"]
        assert found == code, f"expected {code}, found {found}"
    else:
        raise AssertionError(f"expected {code}, found success")


def multipart():
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    data = os.urandom(23 * MIB + 17)
    s3.upload_fileobj(io.BytesIO(data), bucket, "large", Config=config)
    back = io.BytesIO()
    s3.download_fileobj(bucket, "large", back, Config=config)
    assert hashlib.sha256(back.getvalue()).digest() == hashlib.sha256(data).digest()
    head = s3.head_object(Bucket=bucket, Key="large")
    assert head["ETag"].endswith('-5"'), head["ETag"]
    part = s3.get_object(Bucket=bucket, Key="large", Range="bytes=5242870-5242890")["Body"].read()
    assert part == data[5242870:5242891]
    print("multipart: 23 MiB up and down, equal; a range over a part's seam, equal")


def checksums():
    for algorithm in ["CRC32", "SHA1", "SHA256"]:
        stored = s3.put_object(Bucket=bucket, Key=algorithm, Body=b"checked", ChecksumAlgorithm=algorithm)
        head = s3.head_object(Bucket=bucket, Key=algorithm, ChecksumMode="ENABLED")
        assert stored[f"Checksum{algorithm}"] == head[f"Checksum{algorithm}"]
    wrong = dict(Bucket=bucket, Key="wrong", Body=b"data", ChecksumSHA256="A" * 43 + "=")
    refused("BadDigest", lambda: s3.put_object(**wrong))
    print("checksums: CRC32, SHA1 and SHA256 stored and returned; a wrong one refused")


def conditions():
    stored = s3.put_object(Bucket=bucket, Key="once", Body=b"1", IfNoneMatch="*")
    refused("PreconditionFailed", lambda: s3.put_object(Bucket=bucket, Key="once", Body=b"2", IfNoneMatch="*"))
    s3.put_object(Bucket=bucket, Key="once", Body=b"3", IfMatch=stored["ETag"])
    refused("PreconditionFailed", lambda: s3.put_object(Bucket=bucket, Key="once", Body=b"4", IfMatch=stored["ETag"]))
    assert s3.get_object(Bucket=bucket, Key="once")["Body"].read() == b"3"
    print("conditions: If-None-Match and If-Match hold")


def no_pause():
    """On one connection: an empty body, and refusals that come before the body, then a body that must not wait."""
    for turn in range(3):
        timed("an empty PUT", lambda: s3.put_object(Bucket=bucket, Key="empty", Body=b""))
        timed("the PUT after it", lambda: s3.put_object(Bucket=bucket, Key="full", Body=b"x" * 100_000))
        taken = dict(Bucket=bucket, Key="full", Body=b"y" * 100_000, IfNoneMatch="*")
        timed("a PUT answered 412", lambda: refused("PreconditionFailed", lambda: s3.put_object(**taken)))
        timed("the PUT after it", lambda: s3.put_object(Bucket=bucket, Key="full", Body=b"z" * 100_000))
        absent = dict(Bucket="nobody-has-this-bucket", Key="k", Body=b"w" * 100_000)
        timed("a PUT answered 404", lambda: refused("NoSuchBucket", lambda: s3.put_object(**absent)))
        timed("the PUT after it", lambda: s3.put_object(Bucket=bucket, Key="full", Body=b"v" * 100_000))
    assert s3.get_object(Bucket=bucket, Key="full")["Body"].read() == b"v" * 100_000
    print("no pause: bodies after empty objects and early refusals went at once")


def many():
    keys = [f"many/{index:04}" for index in range(1, 1201)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="many/")
    listed = [entry["Key"] for page in pages for entry in page["Contents"]]
    assert listed == keys, f"{len(listed)} of {len(keys)} are listed"
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys[:1000]]})
    assert len(deleted["Deleted"]) == 1000 and "Errors" not in deleted
    left = s3.list_objects_v2(Bucket=bucket, Prefix="many/")
    assert left["KeyCount"] == 200
    print("many: 1,200 keys listed in order over two pages, 1,000 deleted in one request")


for show in [multipart, checksums, conditions, no_pause, many]:
    show()
