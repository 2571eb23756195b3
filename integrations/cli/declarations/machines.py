"""Commands of state machines."""

from typing import Annotated

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import call
from stepwell.integrations.cli.parsing.declaring import Argument, Group, Option

machines = Group("List, show, create, update and delete state machines.")

Machine = Annotated[
    str,
    Argument(
        metavar="MACHINE",
        help="Name or ARN of a state machine.",
        complete=o.complete("machines"),
    ),
]
Machines = Annotated[
    list[str],
    Argument(
        metavar="MACHINE...",
        help="Names or ARNs of state machines.",
        complete=o.complete("machines"),
    ),
]
Definition = Annotated[
    bool, Option("--definition", help="Print nothing but the JSON of the definition.")
]
Name = Annotated[str | None, Option(help="Name of the state machine.  [default: that of FILE]")]
Role = Annotated[
    str | None, Option(metavar="ARN", help="Role of the state machine.  [default: a placeholder]")
]
Publish = Annotated[bool, Option("--publish", help="Publish a version, too.")]
PublishVersion = Annotated[bool, Option("--publish", help="Publish the current revision.")]
Description = Annotated[str | None, Option(help="Description of the version.")]
DeleteVersion = Annotated[
    int | None, Option("--delete", metavar="VERSION", min=1, help="Delete this version.")
]
SetAlias = Annotated[
    str | None,
    Option(
        "--set",
        metavar="ALIAS=VERSION",
        help="Create or change an alias; ALIAS=1:90,2:10 distributes starts by weight.",
    ),
]
DeleteAlias = Annotated[str | None, Option("--delete", metavar="ALIAS", help="Delete this alias.")]


@machines.command("list")
def list_(json: o.Json = False, utc: o.Utc = False, where: o.Where = o.WHERE) -> None:
    """List state machines by name."""
    call("machines.list_", json, utc, where=where)


@machines.command()
def show(
    machine: Machine,
    definition: Definition = False,
    json: o.Json = False,
    utc: o.Utc = False,
    where: o.Where = o.WHERE,
) -> None:
    """Show a state machine, or print its definition."""
    call("machines.show", machine, definition, json, utc, where=where)


def _declare_put(how: str, help: str) -> None:
    @machines.command(how, help=help)
    def put(
        file: o.DefinitionFile,
        name: Name = None,
        type: o.WorkflowType = None,
        role: Role = None,
        param: o.Params = None,
        params: o.ParamsFile = None,
        publish: Publish = False,
        search_attributes: o.SearchAttributes = None,
        json: o.Json = False,
        where: o.Where = o.WHERE,
    ) -> None:
        call("machines.put", **locals() | {"how": how})


_declare_put("create", "Create a state machine from a file, and print its ARN.")
_declare_put(
    "update", "Update a state machine from a file. Running executions keep their definition."
)
_declare_put("apply", "Create a state machine from a file, or update it if there is one.")


@machines.command()
def tag(
    machine: Machine, search_attributes: o.SearchAttributes = None, where: o.Where = o.WHERE
) -> None:
    """Name the values by which executions that start from now on are found."""
    call("machines.tag", machine, search_attributes, where=where)


@machines.command()
def index(machine: Machines, json: o.Json = False, where: o.Where = o.WHERE) -> None:
    """Index earlier executions by the search attributes that a state machine names now."""
    call("machines.index", machine, json, where=where)


@machines.command()
def delete(machine: Machines, yes: o.Yes = False, where: o.Where = o.WHERE) -> None:
    """Delete state machines. Their running executions end at their next transition."""
    call("machines.delete", machine, yes, where=where)


@machines.command()
def versions(
    machine: Machine,
    publish: PublishVersion = False,
    description: Description = None,
    delete: DeleteVersion = None,
    json: o.Json = False,
    utc: o.Utc = False,
    where: o.Where = o.WHERE,
) -> None:
    """List the versions of a state machine, publish one, or delete one."""
    call("machines.versions", **locals())


@machines.command()
def aliases(
    machine: Machine,
    set: SetAlias = None,
    delete: DeleteAlias = None,
    json: o.Json = False,
    utc: o.Utc = False,
    where: o.Where = o.WHERE,
) -> None:
    """List the aliases of a state machine, set one, or delete one."""
    call("machines.aliases", **locals())
