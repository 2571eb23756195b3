"""Commands that maintain a database."""

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import call
from stepwell.integrations.cli.parsing.declaring import Group

database = Group("Maintain a database.")


@database.command()
def check(db: o.Db = None, json: o.Json = False, limits: o.LimitsFile = None) -> None:
    """List damaged records of a database, and what to do. Exit code 1 if there are any. A server
    may be running.
    """
    call("db.check_database", db, json, limits=limits)


@database.command()
def migrate(db: o.Db = None, limits: o.LimitsFile = None) -> None:
    """Bring the tables of a database to this version, as each start does. Nothing may use it."""
    call("db.migrate", db, limits=limits)


@database.command()
def backup(file: o.NewFile, db: o.Db = None, limits: o.LimitsFile = None) -> None:
    """Copy a database to a new SQLite file, on one state of it. A server may be running."""
    call("db.copy_database", db, file, limits=limits)


@database.command()
def copy(source: o.Source, target: o.Target, limits: o.LimitsFile = None) -> None:
    """Copy a database to a new one, such as from a SQLite file to PostgreSQL or back. Stop the
    server of the first one before, and start it on the second one.
    """
    call("db.copy_database", source, target, limits=limits)
