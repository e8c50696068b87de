"""An agent in a file continues bit-identically; a damaged or hostile file raises an error naming it."""

import copy
import io
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from tracerl.agents.reflect import ReflectAgent

import tracerl
from tests.checkpoints import Disk, Killed, quick  # noqa: F401  quick is a fixture
from tests.helpers import make_agent as by_class
from tests.helpers import observation, some_steps
from tracerl.nn.heads import Categorical
from tracerl.runs.checkpoint import plain, tensors
from tracerl.runs.saved_agent import _KEY, _digest, pack_agent, unpack_agent
from tracerl.testing import play, random_transitions

OBSERVATIONS = spaces.Box(-np.inf, np.inf, (4,), np.float32)
TWO = (OBSERVATIONS, spaces.Discrete(3))
AGENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "reflect, fused": ("reflect", {"network.hidden": [9], "engine": "fused"}),
    "reflect, torch": ("reflect", {"network.hidden": [9], "engine": "torch"}),
    "float64": ("reflect", {"network.hidden": [9], "dtype": "float64"}),
    "torch's Adam": ("reflect", {"network.hidden": [9], "optimizer": "torch"}),
    "spikes drawn": ("reflect", {"network.hidden": [9], "encoder": "rate", "network.ticks": 4}),
    "graph": ("reflect", {"network": "graph"}),
    "rounded": ("reflect", {"network.hidden": [9], "deploy.weight_bits": 8, "deploy.rounding": "learning"}),
    "eprop": ("eprop", {"network.hidden": [9]}),
    "rstdp": ("rstdp", {}),
    "reflect_classic": ("reflect_classic", {"agent.network.hidden": [7]}),
    "stream_ac, fused": ("stream_ac", {"agent.hidden": [7], "engine": "fused"}),
    "stream_ac, torch": ("stream_ac", {"agent.hidden": [7], "engine": "torch"}),
    "q_lambda, fused": ("q_lambda", {"network.hidden": [7], "engine": "fused"}),
    "stream_q, torch": ("stream_q", {"network.hidden": [7], "engine": "torch"}),
    "random": ("random", {}),
}


def small(**settings: Any) -> Any:
    return tracerl.make_agent(TWO, settings={"network.hidden": [5], "engine": "torch", **settings}, seed=2)


@pytest.fixture(scope="module")
def good() -> bytes:
    agent = small()
    some_steps(agent)
    return pack_agent(agent)


@pytest.mark.parametrize("case", AGENTS)
@pytest.mark.parametrize("lifetimes", [None, 3])
def test_saved_agent_continues_bit_identically_within_an_episode(
    case: str, lifetimes: int | None, tmp_path: Path
) -> None:
    name, settings = AGENTS[case]
    steps, path = random_transitions(OBSERVATIONS, 80, lifetimes or 1), tmp_path / "agent.safetensors"
    agent: Any = tracerl.make_agent(TWO, name, {**settings, "lifetimes": lifetimes or 1}, seed=3)
    play(agent, steps[:41], lifetimes is not None)
    agent.save(path)
    again = tracerl.load_agent(path, TWO)
    assert type(again) is type(agent) and getattr(again, "engine", None) == getattr(agent, "engine", None)
    state = {key: tensor.clone() for key, tensor in agent.capture().items()}
    assert all(torch.equal(state[key], tensor) for key, tensor in again.capture().items())
    for ours, theirs in zip(
        play(again, steps[41:], lifetimes is not None), play(agent, steps[41:], lifetimes is not None), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert all(torch.equal(again.capture()[key], tensor) for key, tensor in agent.capture().items())


def test_saved_agent_loads_with_another_engine(tmp_path: Path) -> None:
    agent = small(engine="fused", dtype="float64")
    some_steps(agent)
    agent.save(tmp_path / "a")
    others = [tracerl.load_agent(tmp_path / "a", engine=engine, device="cpu") for engine in ("torch", "auto")]
    assert [other.engine for other in others] == ["torch", "fused"]
    for i in range(30, 60):
        assert len({each.step(1.0, observation(i)) for each in (agent, *others)}) == 1
    torch.testing.assert_close(others[0].policy.network.flat, agent.policy.network.flat)
    with pytest.raises(tracerl.ConfigError, match="engine must be one of auto, torch, fused"):
        tracerl.load_agent(tmp_path / "a", engine="numpy")
    with pytest.raises(tracerl.ConfigError, match="device must be a device"):
        tracerl.load_agent(tmp_path / "a", device="gpu")


def test_saved_agent_keeps_frozen_greedy_and_the_end_of_its_episode(tmp_path: Path) -> None:
    agent = small()
    some_steps(agent)
    agent.freeze()
    agent.act_greedily()
    agent.end(1.0, observation(9), terminated=True)
    agent.save(tmp_path / "a")
    again = tracerl.load_agent(tmp_path / "a")
    assert again.frozen and again.head.greedy and not again.in_episode and again.on_nonfinite == "raise"
    before = again.policy.network.flat.clone()
    some_steps(again)
    assert torch.equal(again.policy.network.flat, before)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda agent: pickle.loads(pickle.dumps(agent))])
def test_copies_and_files_keep_what_follows_a_number_that_is_not_finite(copied: Any, tmp_path: Path) -> None:
    agent = small()
    agent.on_nonfinite = "skip"
    agent.save(tmp_path / "a")
    for again in (tracerl.load_agent(tmp_path / "a"), copied(agent)):
        again.start(observation(0))
        again.step(float("nan"), observation(1))
        assert again.on_nonfinite == "skip" and again.skipped == 1


def test_agent_of_a_run_can_be_saved(tmp_path: Path) -> None:
    tracerl.launch({"steps": 60, "network.hidden": [4], "lifetimes": 2, "logger": "none"}, tmp_path / "run")
    agent = tracerl.load(tmp_path / "run").agent(1)
    agent.save(tmp_path / "a")
    again = tracerl.load_agent(tmp_path / "a", tracerl.make_env("CartPole"))
    assert torch.equal(again.policy.network.flat, agent.policy.network.flat)
    assert again.start(observation(0)) == agent.start(observation(0))


@pytest.mark.parametrize("copied", ["pickle", "torch.save", "deepcopy", "copy"])
def test_copies_have_the_size_of_a_file_and_are_independent(copied: str) -> None:
    def saved(agent: Any) -> Any:
        file = io.BytesIO()
        torch.save(agent, file)
        return torch.load(io.BytesIO(file.getvalue()), weights_only=False)

    make: dict[str, Callable[[Any], Any]] = {
        "pickle": lambda agent: pickle.loads(pickle.dumps(agent)),
        "torch.save": saved,
        "deepcopy": copy.deepcopy,
        "copy": copy.copy,
    }
    for engine in ("torch", "fused"):
        agent = small(engine=engine)
        some_steps(agent)
        assert len(pickle.dumps(agent)) < len(pack_agent(agent)) + 200
        other = make[copied](agent)
        actions = [other.step(1.0, observation(i)) for i in range(30, 50)]
        assert actions == [agent.step(1.0, observation(i)) for i in range(30, 50)]
        assert torch.equal(other.policy.network.flat, agent.policy.network.flat)


def test_saving_an_agent_without_settings_raises_an_error(tmp_path: Path) -> None:
    agent = by_class(tracerl.make_env("CartPole"), "network.hidden=[4]")
    for save in (lambda: agent.save(tmp_path / "a"), lambda: pickle.dumps(agent)):
        with pytest.raises(tracerl.ConfigError, match=r"agent must be made by tracerl\.make_agent .*agent\.capture"):
            save()
    assert not list(tmp_path.iterdir())
    assert isinstance(copy.deepcopy(agent), ReflectAgent)


def test_other_spaces_than_those_of_the_file_raise_an_error(tmp_path: Path) -> None:
    small().save(tmp_path / "a")
    assert tracerl.load_agent(tmp_path / "a", TWO).n_observed == 4
    wider = spaces.Box(-np.inf, np.inf, (5,), np.float32)
    for pair, kind in (((wider, TWO[1]), "observation"), ((TWO[0], spaces.Discrete(2)), "action")):
        with pytest.raises(tracerl.ConfigError, match=rf"env must have the {kind} space that .*a was saved with"):
            tracerl.load_agent(tmp_path / "a", pair)
    with pytest.raises(tracerl.ConfigError, match="env must have the observation space"):
        tracerl.load_agent(tmp_path / "a", tracerl.make_env("CartPole"))
    with pytest.raises(tracerl.ConfigError, match="env must be a Gymnasium env"):
        tracerl.load_agent(tmp_path / "a", "CartPole")


def test_every_flipped_bit_and_every_truncation_raises_an_error(good: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for at in range(0, len(good), 211):
        for data in (good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :], good[:at]):
            path.write_bytes(data)
            with pytest.raises(tracerl.ConfigError, match=r"a\.safetensors cannot be loaded: it "):
                tracerl.load_agent(path)
    path.write_bytes(good)
    tracerl.load_agent(path)


def forged(data: bytes, **changes: Any) -> bytes:
    """Change the metadata or the state of a file and give it a valid digest, as an attacker does."""
    fields, state = json.loads(tensors.metadata_of(data)[_KEY]), unpack_agent(data).state
    state |= changes.pop("state", {})
    settings = changes.pop("agent", {})
    fields = {**fields, **changes, "digest": "0" * 64}
    if settings:
        fields["settings"] = {**fields["settings"], "agent": {**fields["settings"]["agent"], **settings}}
    data = tensors.pack("a", state, {_KEY: plain.canonical(fields).decode()})
    start, digest = _digest(data)
    return data[:start] + digest + data[start + 64 :]


BOX = {"kind": "Box", "low": 0, "high": 1, "shape": [4], "dtype": "float32"}
HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "newer format": ({"format": 2}, "written by a newer tracerl"),
    "no format": ({"format": None}, "has no format"),
    "no seeds": ({"seeds": []}, "settings, seeds or a mode of another kind"),
    "seeds of text": ({"seeds": ["1"]}, "settings, seeds or a mode"),
    "spaces": ({"spaces": 3}, "lacks what an agent is built from"),
    "one space": ({"spaces": [BOX]}, "not enough values|has a space|lacks"),
    "kind": ({"spaces": [BOX, {"kind": "Popen"}]}, "has a space that Gymnasium does not have"),
    "huge box": ({"spaces": [{**BOX, "shape": [10**6, 10**6]}, BOX]}, "more than 16,777,216 numbers"),
    "huge boxes": ({"spaces": [{"kind": "Tuple", "spaces": [{**BOX, "shape": [2**23]}] * 9}, BOX]}, "more than"),
    "objects": ({"spaces": [{**BOX, "dtype": "O"}, BOX]}, "has a space that Gymnasium does not have"),
    "huge network": ({"agent": {"network": {"_target_": "tracerl.nn.networks.Dense", "hidden": [10**9]}}}, "cannot be"),
    "other state": ({"state": {"more": torch.zeros(2)}}, "has the unknown entry more"),
    "other shape": ({"state": {"fault": torch.zeros(2)}}, "fault of the agent's state must be"),
    "other dtype": ({"state": {"fault": torch.zeros(())}}, "fault of the agent's state must be"),
    "engine": ({"engine": "rocket"}, "engine must be one of"),
    "on_nonfinite": ({"on_nonfinite": "reset"}, "settings, seeds or a mode of another kind"),
    "target": ({"agent": {"_target_": "os.system"}}, r"agent\._target_ is 'os\.system': it comes from"),
    "target of another": (
        {"agent": {"encoder": {"_target_": "tracerl.runs.checkpoint.disk.shutil.rmtree"}}},
        "_target_",
    ),
    "other arguments": ({"agent": {"_args_": ["x"]}}, r"agent\._args_ does not exist"),
    "interpolation": ({"agent": {"signal": "${oc.env:HOME}"}}, "must be a value, not an interpolation"),
    "setting": ({"agent": {"signal": "pain"}}, "signal must be one of"),
    "no agent": ({"settings": {"dtype": "float32", "device": "cpu"}}, "lacks what an agent is built from"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_file_raises_an_error_naming_it(good: bytes, case: str, tmp_path: Path) -> None:
    changes, message = HOSTILE[case]
    path = tmp_path / "a.safetensors"
    path.write_bytes(forged(good, **changes))
    with pytest.raises(tracerl.ConfigError, match=rf"a\.safetensors cannot be loaded: .*({message})"):
        tracerl.load_agent(path)


def test_other_files_raise_an_error_naming_them(good: bytes, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(tensors.pack("x", {"x": torch.zeros(1)}))
    (tmp_path / "sparse").touch()
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    for name, problem in (
        ("nothing", "nothing is missing"),
        ("nowhere/a", "it is missing"),
        ("other", "it holds no agent that tracerl saved"),
        ("sparse", "it has 1,099,511,627,776 bytes, more than"),
        (".", "is a folder, not a plain file"),
    ):
        with pytest.raises(tracerl.ConfigError, match=rf"cannot be loaded: .*{problem}"):
            tracerl.load_agent(tmp_path / name)


def test_custom_classes_are_built_with_trust(tmp_path: Path) -> None:
    head = {"_target_": "tests.test_saved_agent.OwnHead", "_partial_": True}
    agent = small(**{"agent.head": head})
    agent.save(tmp_path / "a")
    with pytest.raises(tracerl.ConfigError, match=r"agent\.head\._target_ is 'tests\.test_saved_agent\.OwnHead'"):
        tracerl.load_agent(tmp_path / "a")
    assert type(tracerl.load_agent(tmp_path / "a", trust=True).head).__name__ == "OwnHead"


class OwnHead(Categorical):
    def __init__(self, space: Any, lifetimes: Any) -> None:
        super().__init__(int(space.n), lifetimes)


def test_reading_a_file_executes_and_imports_nothing_it_names(good: bytes, tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text("open('marker', 'w')")
    targets = (
        "evil.Agent",
        "os.system",
        "tracerl.runs.api.launch",
        "tracerl.run.main",
        "tracerl.nn.heads.base.nn.Linear",
    )
    for i, target in enumerate(targets):
        (tmp_path / f"{i}").write_bytes(forged(good, agent={"head": {"_target_": target, "_partial_": True}}))
    program = (
        "import sys, tracerl\nfor i in range(5):\n    try: tracerl.load_agent(str(i))\n"
        "    except tracerl.ConfigError as error: print(error)\nprint('evil' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    lines = result.stdout.splitlines()
    assert len(lines) == 6 and all("agent.head._target_ is" in line for line in lines[:5])
    assert lines[5] == "False" and not (tmp_path / "marker").exists()


@pytest.mark.parametrize("kind", ["killed before", "killed within", "fails once", "full from then on"])
def test_interrupted_write_leaves_the_old_or_the_new_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    agent = small()
    agent.save(path)
    seen, made = [agent.capture()["stream.counter"].item()], 0
    for at in range(1, 20):
        some_steps(agent)
        seen.append(agent.capture()["stream.counter"].item())
        with pytest.MonkeyPatch.context() as patch:
            calls = Disk(patch, kind, at)
            try:
                agent.save(path)
            except (Killed, OSError):
                made += 1
        assert tracerl.load_agent(path).capture()["stream.counter"].item() in seen
        if not calls.dead and calls.made < at:
            break
    assert made >= 5
    agent.save(path)
    assert tracerl.load_agent(path).capture()["stream.counter"].item() == seen[-1]
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_saving_to_a_link_replaces_the_file_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept" / "a")
    small().save(tmp_path / "link")
    small().save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "kept" / "a").is_file()
    assert isinstance(tracerl.load_agent(tmp_path / "link"), ReflectAgent)
    with pytest.raises(OSError, match="nowhere"):
        small().save(tmp_path / "nowhere" / "a")


def test_saving_custom_spaces_raises_an_error_naming_them(tmp_path: Path) -> None:
    class Odd(gym.Space[Any]):
        def sample(self, *_: Any, **__: Any) -> int:
            return 0

        def seed(self, seed: Any = None) -> int:
            return 0

    agent = tracerl.make_agent((OBSERVATIONS, Odd()), "random")
    with pytest.raises(tracerl.ConfigError, match="space must be one of Gymnasium's own to be saved"):
        agent.save(tmp_path / "a")
