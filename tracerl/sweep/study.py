"""Create the database of an Optuna study before the first trial."""

import time

_TRIES = 5


def prepare(storage: object) -> None:
    """Create the missing tables in the database of a study.

    If two commands create the tables at the same time, one fails in Optuna ("table studies already exists"). A second
    try finds the tables.
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
