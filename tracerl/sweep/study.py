"""The database of an Optuna study, made before the first trial."""

import time

_TRIES = 5


def prepare(storage: object) -> None:
    """Make the tables of a study's database where they are missing.

    Of two commands that find an empty database at the same moment, Optuna lets one fail ("table studies already
    exists"). It finds them there when it looks again.
    """
    if not isinstance(storage, str) or "://" not in storage:
        return
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    for left in reversed(range(_TRIES)):
        try:
            RDBStorage(storage)
            return
        except SQLAlchemyError:
            if left == 0:
                raise
            time.sleep(0.5)
