"""Rows of the scratch that a kernel is handed, as wide as the code, the widest layer and the most rows of weights."""

(
    CURRENT,
    LEAK,
    DECAY,
    COMPLEMENT,
    THRESHOLD,
    KEEP,
    ADD,
    BELOW,
    FURTHER_BELOW,
    CODE,
    LEAKS,
    OUTPUT,
    SIGNAL,
    LIVE,  # 0 where a number of the code has been zero all life long, else 1; see streams.find_live
    ONES,
    POLICY_SUMS,  # see steps.begin
    CRITIC_SUMS,
    SCRATCH_ROWS,
) = range(18)

# What a row of sums holds, added up over the parameters of a network in one env step.
(
    SCORE_NORM,  # sum g^2/nu_hat
    REACH,  # sum zeta^2/nu_hat; of other rules than Intentional sum |zeta|
    OVER,  # 1/(1-.999^t)
    N_SUMS,
) = range(4)
