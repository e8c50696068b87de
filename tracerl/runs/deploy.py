"""Settings of an agent that is to run on a neuromorphic chip."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tracerl.config import checks
from tracerl.config.checks import ConfigError

ROUNDINGS = ("export", "learning")
_AGENTS = "must be reflect, eprop or q_lambda with deploy=neuromorphic"


@dataclass(frozen=True)
class DeploySettings:
    """What an agent must be able to do on a chip; see ``configs/deploy``.

    Attributes:
        exact: a setting with which an export to NIR cannot compute the same spikes raises a ConfigError.
        weight_bits: bits of the integers to which weights are rounded, from 2 to 16; None: not rounded.
        rounding: ``export``: learning has weights of 32 bits, and an export rounds them. ``learning``: the weights of
            the policy's network are rounded after every update; see ``StochasticRounding``.
    """

    exact: bool = False
    weight_bits: int | None = None
    rounding: str = "export"

    def __post_init__(self) -> None:
        checks.flag("exact", self.exact)
        if self.weight_bits is not None:
            checks.weight_bits("weight_bits", self.weight_bits)
        checks.choice("rounding", self.rounding, ROUNDINGS)
        if self.rounding == "learning" and self.weight_bits is None:
            raise ConfigError(
                "weight_bits", "must be a whole number from 2 to 16 with deploy.rounding=learning, got null"
            )

    def ignored_settings(self, agent: Any) -> dict[str, str]:
        """Return the settings without effect for an agent of one lifetime; see ``tracerl.config.ignored``."""
        from tracerl.nn.exportable import Portable

        if not isinstance(agent, Portable):
            return dict.fromkeys(("weight_bits", "rounding"), "with this agent, which has no network to export")
        return {"rounding": "without deploy.weight_bits"} if self.weight_bits is None else {}

    @property
    def learned_bits(self) -> int | None:
        """Bits of the weights while they are learned; None: they are not rounded."""
        return self.weight_bits if self.rounding == "learning" else None

    def check_config(self, cfg: Mapping[str, Any]) -> None:
        """Raise a ConfigError for an agent without a spiking network, before it is built.

        Args:
            cfg: the whole config, for one kind of observation.
        """
        if "network" not in cfg["agent"]:
            raise ConfigError("agent", f"{_AGENTS}, got {_name(cfg['agent'])}, which has no network of spiking neurons")
        target = str(cfg["network"].get("_target_", "")) if "network" in cfg else ""
        if target.endswith("PerceptronSettings"):
            raise ConfigError("network", "must be of spiking neurons with deploy=neuromorphic, got perceptron")

    def check(self, agent: Any) -> None:
        """Raise a ConfigError naming the setting with which the policy and its encoder are not exact in NIR.

        Args:
            agent: of one or many lifetimes.
        """
        from tracerl.lifetime.protocol import agents_of
        from tracerl.nn.exportable import Portable
        from tracerl.nn.networks import Network
        from tracerl.nn.nir_support import check_encoder, check_exact

        one = agents_of(agent)[0]
        network = one.parts()["policy"].network if isinstance(one, Portable) else None
        if not isinstance(network, Network):
            raise ConfigError("agent", f"{_AGENTS}, got {type(one).__name__}, whose network NIR cannot hold exactly")
        check_encoder(one.encoder, network.ticks)
        check_exact(network)


def _name(agent: Mapping[str, Any]) -> str:
    return str(agent.get("_target_", agent)).rpartition(".")[2]


def weight_bits(cfg: Mapping[str, Any]) -> int | None:
    """Return ``deploy.weight_bits`` of a saved config; None in configs without it. It is checked where it is used."""
    found: int | None = (cfg.get("deploy") or {}).get("weight_bits")
    return found
