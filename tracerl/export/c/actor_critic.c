/* The steps of the agent: tracerl/kernels/actor_critic.py and, in torch, tracerl/agents/reflect.py. */

static agent_action newest[AGENT_COMPONENTS];

/* Sample an action at the encoded observation; return 0 where the agent has diverged. */
static int act(void)
{
    forward(&agent.policy.network, scratch.encoded, scratch.output);
    sample(scratch.output);
#if TRACERL_LEARN
    {
        real *trace = memory + agent.log_prob_trace.trace;
        *trace = accumulate(*trace, (real)agent.log_prob_trace.trace_decay, log_probability());
        memory[agent.entropy] = entropy();
        words[agent.fault].word |= !is_finite((double)memory[agent.entropy]);
    }
#endif
    words[agent.fault].word |= !is_sound(scratch.output);
    if (words[agent.fault].word != 0)
        return 0;
    choose(newest);
    return 1;
}

#if TRACERL_LEARN
/* Step along the traces of both networks once the critic's is up to date; return whether all numbers are finite. */
static int improve(real signal)
{
    const real weight = (real)agent.entropy_weight * (real)((signal > 0) - (signal < 0));
    int sound;
    learning_signal(weight, scratch.signal);
    backward(&agent.policy, scratch.signal, &policy_sums);
    sound = update(&agent.policy, signal, &policy_sums);
    return update(&agent.critic, signal, &critic_sums) && sound;
}

/* Add the quantities of this step to the sums of `diagnostics`. */
static void add_to_sums(void)
{
    union word *sums = words + agent.sums;
    sums[0].wide += memory[agent.signal];
    sums[1].wide += magnitude(memory[agent.signal]);
    sums[2].wide += memory[agent.entropy];
    sums[3].wide += (real)(1 - agent.log_prob_trace.trace_decay) * memory[agent.log_prob_trace.trace];
    sums[4].wide += memory[agent.policy.step_rule.step_size];
    sums[5].wide += memory[agent.value];
    sums[6].wide += memory[agent.critic.step_rule.step_size];
    sums[7].wide += 1;
}

/* Update both networks from one transition, leaving the new observation encoded. */
static void learn(double reward, const double *observation, int continues)
{
    real signal, scaled, value_tp1;
    double gamma;
    scratch.signal[0] = 1;
    backward(&agent.critic, scratch.signal, &critic_sums); /* the network's state is still that of s */
    encode(observation, 0);
    gamma = discount();
    scaled = (real)scale_reward(reward, gamma);
    forward(&agent.critic.network, scratch.encoded, scratch.output);
    value_tp1 = scratch.output[0];
    signal = td_error(scaled, memory[agent.value], value_tp1, (real)gamma, continues);
    memory[agent.value] = value_tp1;
    memory[agent.signal] = signal;
    if (!is_finite((double)signal)) {
        words[agent.fault].word = 1;
        return;
    }
    if (!improve(signal))
        words[agent.fault].word = 1;
    add_to_sums();
}
#endif

/* Whether the agent is sound and what arrives is finite; a build that does not learn takes any reward. */
static int is_ready(double reward, const double *observation)
{
    double total = TRACERL_LEARN ? reward * 0 : 0;
    for (int i = 0; i < AGENT_OBSERVED; i++)
        total += observation[i] * 0;
    return total == 0 && words[agent.fault].word == 0;
}

const agent_action *agent_start(const double *observation)
{
    prepare();
    if (!is_ready(0, observation))
        return NULL;
    encode(observation, 1);
#if TRACERL_LEARN
    forward(&agent.critic.network, scratch.encoded, scratch.output);
    memory[agent.value] = scratch.output[0];
#endif
    return act() ? newest : NULL;
}

const agent_action *agent_step(double reward, const double *observation)
{
    prepare();
    if (!is_ready(reward, observation))
        return NULL;
#if TRACERL_LEARN
    learn(reward, observation, 1);
    if (words[agent.fault].word != 0)
        return NULL;
#else
    encode(observation, 0);
#endif
    return act() ? newest : NULL;
}

int agent_end(double reward, const double *observation, int terminated)
{
    prepare();
    if (!is_ready(reward, observation)) {
        agent_reset_episode();
        return 0;
    }
#if TRACERL_LEARN
    learn(reward, observation, !terminated);
    if (words[agent.fault].word != 0)
        return 0;
#else
    (void)terminated;
    encode(observation, 0);
#endif
    agent_reset_episode();
    return 1;
}

void agent_reset_episode(void)
{
    prepare();
    clear(&agent.policy);
#if TRACERL_LEARN
    clear(&agent.critic);
    memory[agent.log_prob_trace.trace] = 0;
    if (agent.reward_scaler.discounted != ABSENT)
        words[agent.reward_scaler.discounted].wide = 0;
#endif
}
