"""python map_run_process.py FOLDER URL DEFINITION: an engine that runs the Map Run of a definition
to its end, with the database in FOLDER and the S3 at URL. Prints "open", then the status.
"""

import asyncio
import sys
from pathlib import Path

from stepwell.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.tasks.registry import Registry


async def main(folder: Path, url: str, definition: str) -> None:
    registry = Registry(outside=Outside({"s3": url}))
    async with Engine(folder / "engine.db", tasks=registry) as engine:
        machine = await engine.create_state_machine("m", definition)
        arn = machine["stateMachineArn"].replace(":stateMachine:", ":execution:") + ":once"
        try:
            await engine.start_execution(machine["stateMachineArn"], name="once", input="{}")
        except ApiError as error:
            if error.code != "ExecutionAlreadyExists":
                raise
        print("open", flush=True)
        print((await engine.wait(arn, timeout=120))["status"], flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
