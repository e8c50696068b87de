"""Rows of the scratch that a kernel is handed, [N_ROWS, width]: vectors that are written before they are read."""

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
    ENCODED,  # the encoded observation
    RETENTION,
    OUTPUT,
    SIGNAL,
    IMAGE,  # see images.padded_image
    BY_POSITION,  # currents or a signal at them, [positions, channels]
    CORNERS,  # see images.places
    OFFSETS,
    POOLED,
    ACTIVE,  # 0 where a number of the encoded observation has been zero in every step so far; see streams.find_active
    ONES,
    POLICY_SUMS,  # see steps.begin
    CRITIC_SUMS,
    KEPT,  # states of a shared network, see actor_critic.look_ahead
    N_ROWS,
) = range(24)

# What a row of sums holds, added up over the parameters of a network in one env step.
(
    SCORE_NORM,  # sum g^2/nu_hat
    TRACE_NORM,  # sum zeta^2/nu_hat; of other rules than Intentional sum |zeta|, of UpdateNormalized sum v
    INVERSE_CORRECTION,  # 1/(1-.999^t)
    KNOWN_SIGNAL,  # the signal, if it is known when the scores are written; else NaN
    N_SUMS,
) = range(5)
