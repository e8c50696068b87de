/* The distribution of actions: tracerl/kernels/heads.py. */

/* Whether the outputs of the policy are finite. */
static int is_sound(const real *outputs)
{
    real total = 0;
    for (int i = 0; i < agent.head.n_outputs; i++)
        total += 0 * outputs[i];
    return total == 0;
}

#if HEAD_IS_GAUSSIAN
#define LEAST_STD 1e-3
#define UNBOUNDED 1e30

/* Whether number i of a Box has two finite bounds. */
static int has_range(const struct head *head, int i)
{
    return constants[head->low + i] > -UNBOUNDED && constants[head->high + i] < UNBOUNDED;
}

/* Draw each number of the action from its Gaussian, with two uniform numbers each. */
static void sample(const real *outputs)
{
    const struct head *head = &agent.head;
    const int n = head->n_components;
    for (int i = 0; i < n; i++) {
        const double low = constants[head->low + i], high = constants[head->high + i];
        const real rho = outputs[n + i];
        real mean = outputs[i], std = softplus(rho), gain = sigmoid(rho), action;
        double u, v, sent;
        if (head->each_std > 0 && has_range(head, i)) {
            std = gain * (real)head->each_std;
            gain = std - gain * std;
        } else if (has_range(head, i)) {
            std *= (real)head->std_unit;
            gain *= (real)head->std_unit;
        }
        std += (real)LEAST_STD;
        if (head->mean_margin >= 0) {
            const real margin = std * (real)head->mean_margin;
            mean = larger(mean, (real)constants[head->ends + i] - margin);
            mean = smaller(mean, (real)constants[head->ends + n + i] + margin);
#if TRACERL_LEARN
            memory[head->excess + i] = outputs[i] - mean;
#endif
        }
#if TRACERL_LEARN
        memory[head->mean + i] = mean;
        memory[head->std + i] = std;
        memory[head->std_gain + i] = gain;
#endif
        u = uniform();
        v = uniform();
        action = TRACERL_GREEDY ? mean : mean + std * box_muller(u, v);
        memory[head->action + i] = action;
        sent = constants[head->centre + i] + (double)action * constants[head->half_range + i];
        sent = sent < low ? low : sent;
        words[head->sent + i].wide = sent > high ? high : sent;
    }
}

/* Write the newest action as the env takes it. */
static void choose(agent_action *action)
{
    for (int i = 0; i < agent.head.n_components; i++)
        action[i] = (agent_action)words[agent.head.sent + i].wide;
}

#if TRACERL_LEARN
static real log_probability(void)
{
    const struct head *head = &agent.head;
    real total = 0;
    for (int i = 0; i < head->n_components; i++)
        total += clipped_gaussian_log_probability(
            memory[head->action + i], memory[head->mean + i], memory[head->std + i],
            (real)constants[head->least + i], (real)constants[head->most + i]);
    return total;
}

static real entropy(void)
{
    real total = 0;
    for (int i = 0; i < agent.head.n_components; i++)
        total += gaussian_entropy(memory[agent.head.std + i]);
    return total;
}

/* The gradient of log pi plus a weight times that of the entropy, by the outputs. */
static void learning_signal(real weight, real *g)
{
    const struct head *head = &agent.head;
    const int n = head->n_components;
    for (int i = 0; i < n; i++) {
        const real std = memory[head->std + i];
        real bonus = weight, draw = 0, by_mean, by_std;
        if (head->target_std > 0 && std >= (real)head->target_std && has_range(head, i))
            bonus = 0;
        else if (head->each_reference > 0 && has_range(head, i)) {
            bonus = weight * relative_entropy_by_log_std(std, head->each_reference);
            draw = weight * relative_entropy_by_mean(memory[head->mean + i], (real)constants[head->ends + i],
                                                     (real)constants[head->ends + n + i], head->each_reference);
        }
        clipped_gaussian_score(memory[head->action + i], memory[head->mean + i], std,
                               (real)constants[head->least + i], (real)constants[head->most + i], &by_mean, &by_std);
        g[i] = by_mean + draw;
        g[n + i] = memory[head->std_gain + i] * (by_std + bonus / std);
        if (head->mean_margin >= 0)
            g[i] -= weight * memory[head->excess + i] / std / std;
    }
}
#endif
#else
/* Invert the cumulative distribution of each component, the logits of which stand one after the other. */
static void sample(const real *outputs)
{
    const struct head *head = &agent.head;
    int start = 0;
    for (int i = 0; i < head->n_components; i++) {
        const int n = (int)constants[head->sizes + i];
        const real *logits = outputs + start;
        real *log_probabilities = memory + head->log_probabilities + start;
        real *probabilities = memory + head->probabilities + start;
        real largest = logits[0], total = 0, cumulative = 0, log_total;
        int action = 0, likeliest = 0;
        double chance;
        for (int a = 1; a < n; a++)
            largest = larger(largest, logits[a]);
        for (int a = 0; a < n; a++)
            total += exponential(logits[a] - largest);
        log_total = logarithm(total);
        chance = uniform();
        for (int a = 0; a < n; a++) {
            log_probabilities[a] = logits[a] - largest - log_total;
            probabilities[a] = exponential(log_probabilities[a]);
            likeliest = probabilities[a] > probabilities[likeliest] ? a : likeliest;
            cumulative += probabilities[a];
            action += a < n - 1 && (double)cumulative <= chance;
        }
        words[head->action + i].word = TRACERL_GREEDY ? likeliest : action;
        start += n;
    }
}

/* Write the newest action as the env takes it. */
static void choose(agent_action *action)
{
    for (int i = 0; i < agent.head.n_components; i++)
#if HEAD_HAS_GRID
        action[i] = (agent_action)constants[agent.head.grid + i * (int)constants[agent.head.sizes] +
                                            (offset)words[agent.head.action + i].word];
#else
        action[i] = (agent_action)words[agent.head.action + i].word + first_action[i];
#endif
}

#if TRACERL_LEARN
static real log_probability(void)
{
    real total = 0;
    offset start = agent.head.log_probabilities;
    for (int i = 0; i < agent.head.n_components; i++) {
        total += memory[start + (offset)words[agent.head.action + i].word];
        start += (offset)constants[agent.head.sizes + i];
    }
    return total;
}

static real entropy(void)
{
    const struct head *head = &agent.head;
    return categorical_entropy(memory + head->probabilities, memory + head->log_probabilities, head->n_outputs);
}

/* The gradient of log pi plus a weight times that of the entropy, by the logits. */
static void learning_signal(real weight, real *g)
{
    const struct head *head = &agent.head;
    int start = 0;
    for (int i = 0; i < head->n_components; i++) {
        const int n = (int)constants[head->sizes + i];
        const real *probabilities = memory + head->probabilities + start;
        const real *log_probabilities = memory + head->log_probabilities + start;
        const real total = categorical_entropy(probabilities, log_probabilities, n);
        for (int a = 0; a < n; a++)
            g[start + a] =
                weight * categorical_entropy_gradient(probabilities[a], log_probabilities[a], total) - probabilities[a];
        g[start + (int)words[head->action + i].word] += 1;
        start += n;
    }
}
#endif
#endif
