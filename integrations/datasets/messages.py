"""The texts of datasets and results. None is AWS's."""

from typing import Final

# --- what an ItemReader reads ---------------------------------------------------------------------
FILE_CHANGED: Final = "The dataset {where} has changed while it was read"
FILE_TOO_LARGE: Final = "The dataset {where} is larger than {limit} bytes"
FILE_NOT_READ: Final = "The dataset {where} cannot be read: {reason}"
FILE_CUT_OFF: Final = "it ends within its compressed data"
NO_RANGES: Final = "the endpoint of s3 does not answer requests for a part of an object"
ITEM_TOO_LARGE: Final = "An item of the dataset is larger than {limit} bytes"
INVENTORY_FORMAT: Final = "the inventory is in {format}; it must be in CSV"
PARQUET_MISSING: Final = (
    "Datasets of type PARQUET need pyarrow: pip install 'stepwell[parquet]' where the engine runs"
)
PARQUET_GROUP: Final = "row group {group} is larger than {limit} bytes"
