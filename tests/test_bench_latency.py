"""The benchmark of the time per step: percentiles and the table."""

import pytest

from tests.helpers import script

bench = script("bench_latency")


def test_percentiles_increase_and_are_printed_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    bench.main(["--inputs", "3", "5", "--steps", "40", "--period", "0.0001", "--engine", "torch", "--hidden", "4"])
    heads, _, *rows = (line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines())
    assert heads == ["inputs", "engine", "p50", "p99", "p99.9", "max", "save"]
    assert [row[:2] for row in rows] == [["3", "torch"], ["5", "torch"]]
    for row in rows:
        *step, save = (float(number.replace(",", "")) for number in row[2:])
        assert 0 < step[0] <= step[1] <= step[2] <= step[3] and save > 0
