"""The limits of datasets and results of Map Runs: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetLimits:
    """Upper bounds, all inclusive."""

    dataset_file_bytes: int = 10 * 1024**3  # AWS: of one file of an ItemReader, uncompressed
    dataset_item_bytes: int = 8 * 1024**2  # AWS: of one item, before ItemSelector
    pointer_bytes: int = 16 * 1024**2  # AWS: of a file, before the target of an ItemsPointer
    manifest_bytes: int = 16 * 1024**2  # of a manifest, which is held in memory
    parquet_group_bytes: int = 256 * 1024**2  # AWS: of a row group, uncompressed
    dataset_block_bytes: int = 1024**2  # of one request for a part of a file
    dataset_threads: int = 8  # chunks that are read at the same time
    stream_attempts: int = 4  # of a call of S3 that fails for a moment
    stream_pause_seconds: float = 0.2  # before the second attempt; then twice as long each time
    result_part_bytes: int = 6 * 1024**2  # of a ResultWriter's file, sent at once
    result_least_bytes: int = 5 * 1024**2  # S3: of a part that is not the last; less ends a file
    result_file_bytes: int = 5 * 1024**3  # AWS: of one file of a ResultWriter
