"""What `stepwell schema` does."""

import json

from stepwell.asl.schema import json_schema
from stepwell.integrations.cli import exit_codes


def schema() -> int:
    print(json.dumps(json_schema(), indent=2))
    return exit_codes.SUCCEEDED
