"""Commands of workers: activities and task tokens."""

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import call
from stepwell.integrations.cli.parsing.declaring import Group

activity = Group("Take tasks of an activity, as a worker.")
task = Group("Report the result of a task by its token.")


@activity.command("poll")
def poll(
    name: o.ActivityName,
    worker: o.WorkerName = None,
    timeout: o.PollTimeout = 60,
    where: o.Where = o.WHERE,
) -> None:
    """Wait for a task and print {"taskToken", "input"}. Without a task: no output, exit code 3."""
    call("tasks.poll", name, worker, timeout, where=where)


@task.command()
def succeed(token: o.Token, output: o.Result = "{}", where: o.Where = o.WHERE) -> None:
    """Report that a task succeeded."""
    call("tasks.succeed", token, output, where=where)


@task.command()
def fail(
    token: o.Token, error: o.TaskError = None, cause: o.TaskCause = None, where: o.Where = o.WHERE
) -> None:
    """Report that a task failed."""
    call("tasks.fail", token, error, cause, where=where)


@task.command()
def heartbeat(token: o.Token, where: o.Where = o.WHERE) -> None:
    """Report that a task is still in progress."""
    call("tasks.heartbeat", token, where=where)
