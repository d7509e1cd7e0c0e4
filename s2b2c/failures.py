"""What a log may hold of what broke: never a message, as those of databases and libraries hold values."""

import traceback

from asyncpg.exceptions import (
    InterfaceError,
    InternalClientError,
    OperatorInterventionError,
    PostgresConnectionError,
    QueryCanceledError,
    TooManyConnectionsError,
)
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_AWAY = (
    OSError,
    InterfaceError,
    InternalClientError,  # asyncpg is told of a dead connection in the middle of something
    PostgresConnectionError,
    OperatorInterventionError,
    TooManyConnectionsError,
    PoolTimeoutError,
)


def kind_of(error: BaseException) -> str:
    """The name of what was raised; of a database error the name that PostgreSQL has for it, with the constraint."""
    cause = _cause(error)
    constraint = getattr(cause, "constraint_name", None)
    return f"{type(cause).__name__} ({constraint})" if constraint else type(cause).__name__


def told(error: BaseException) -> str:
    """What a log may hold of it: a line while the database is away, else its kind and a traceback without messages."""
    if is_database_away(error):
        return f"the database does not answer ({kind_of(error)})"
    return f"{kind_of(error)}\n{''.join(traceback.format_tb(error.__traceback__))}"


def is_database_away(error: BaseException) -> bool:
    """Nobody answers, or there is no connection to be had: the same may go through in a moment."""
    cause = _cause(error)
    return isinstance(cause, _AWAY) and not isinstance(cause, QueryCanceledError)


def _cause(error: BaseException) -> BaseException:
    # What fails before there is a connection is not wrapped a second time.
    return error.driver_exception if isinstance(error, DBAPIError | EmulatedDBAPIException) else error
