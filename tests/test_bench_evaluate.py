"""The benchmark of evaluations: the table, and the check of the results."""

from tests.helpers import script

bench = script("bench_evaluate")


def test_both_ways_are_timed_and_agree() -> None:
    row = bench.measure("CartPole", episodes=3, steps=20, at_once=2, repeats=1, engine="torch")
    assert row.env == "CartPole" and row.steps >= 3 * 8 and all(0 < seconds < 60 for seconds in row.seconds)


def test_table_has_a_row_per_env(capsys) -> None:  # type: ignore[no-untyped-def]
    bench.main(["--envs", "CartPole", "--episodes", "2", "--steps", "20", "--at-once", "2", "--repeats", "1"])
    heads, _, row = (line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines())
    assert len(heads) == len(row) == 5 and row[0] == "CartPole" and float(row[-1]) > 0
