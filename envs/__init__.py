"""The envs of tracerl, registered in Gymnasium under ``tracerl/`` on import, and the settings of any env."""

from gymnasium import register

register("tracerl/ContextualBandit-v0", "tracerl.envs.contextual_bandit:ContextualBandit")
register("tracerl/DelayedBandit-v0", "tracerl.envs.delayed_bandit:DelayedBandit")
register("tracerl/PoissonClicks-v0", "tracerl.envs.poisson_clicks:PoissonClicks")
register("tracerl/MemoryChain-v0", "tracerl.envs.memory_chain:MemoryChain")
register("tracerl/Digits-v0", "tracerl.envs.digits:Digits")
register("tracerl/MinAtar-v0", "tracerl.envs.minatar:MinAtar", max_episode_steps=5000)
