"""The default agent learns inside an emulated Cortex-M4; see ``scripts/cortex_m.py``."""

from pathlib import Path

import pytest

from tests.helpers import exit_code, script

cortex_m = script("cortex_m")
needs_tools = pytest.mark.skipif(
    bool(cortex_m.missing()), reason=f"not on the path: {cortex_m.missing()}; apt-get install {cortex_m.PACKAGES}"
)


@needs_tools
def test_tables_of_a_short_lifetime_are_written_to_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cortex_m, "BRIEF", 100)
    page = tmp_path / "c.md"
    page.write_text("".join(f"<!-- cortex_m {name} -->\n<!-- end {name} -->\n" for name in ("builds", "lifetimes")))
    assert exit_code(cortex_m.main, monkeypatch, "--steps", 200, "--page", page) == 0
    rows = [
        row.replace(",", "").replace("|", " ").split() for row in page.read_text().splitlines() if row.startswith("| ")
    ]
    learning, acting = ([int(cell) for cell in row[-5:]] for row in (rows[1], rows[3]))
    assert all(small < large for small, large in zip(acting, learning, strict=True))
    assert learning[2] < 128 * 1024 and learning[0] + learning[1] < 1024 * 1024
    assert rows[-1][:3] == ["0", "not", "reached"] and 2 < int(rows[-1][-1]) < 30


@needs_tools
@pytest.mark.slow
def test_default_agent_solves_cartpole_in_the_emulator() -> None:
    found = cortex_m.run_lifetime(0, 60_000, ["-O2"])
    assert 0 < found.reached <= found.steps < 60_000 and found.episodes >= 20


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cortex_m, "TOOLS", ("no-such-compiler",))
    monkeypatch.setattr("sys.argv", ["cortex_m"])
    with pytest.raises(SystemExit, match="no-such-compiler: not found; apt-get install gcc-arm-none-eabi"):
        cortex_m.main()
