"""`pipelines events forget` and `rewrap`: personal data, from a terminal."""

from typing import Annotated

import typer

from pipelines_persistence.cli.common import Database, Json, open_platform
from pipelines_persistence.cli.event_arguments import confirm


def forget(
    subject: Annotated[str, typer.Argument(help="The person, as the events name it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Make a person's sealed data unreadable for good, and build all read models anew without it.

    The events stay, and so does the shape of their streams. There is no way back.
    """
    from pipelines_persistence import console

    with open_platform(as_json, database) as platform:
        confirm(f"Delete the key of {subject!r}?", yes=yes)
        existed = platform.eventing.forget(subject)
        rebuilt = list(platform.eventing.projections)
        if as_json:
            console.print_json({"subject": subject, "existed": existed, "rebuilt": [*rebuilt]})
        else:
            known = "its data is unreadable from now on" if existed else "there was no key of it"
            console.out.print(f"{subject}: {known}; {len(rebuilt)} read models were built anew", markup=False)


def rewrap(database: Database = None, as_json: Json = False) -> None:
    """Wrap the keys of persons anew, after a new master key was put before the old one in PIPELINES_MASTER_KEY.

    When it is done, the old one can be taken away.
    """
    from pipelines_persistence import console

    with open_platform(as_json, database) as platform:
        done = platform.eventing.rewrap()
        if as_json:
            console.print_json({"rewrapped": done})
        else:
            console.out.print(f"{done} keys were wrapped anew")
