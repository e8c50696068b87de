/* Eligibility traces and step-size rules over the flat parameters of a network: tracerl/kernels/steps.py. */

#if TRACERL_LEARN
/* Sums over the parameters of a network in one env step. */
struct sums {
    real score_norm; /* sum g^2 / nu_hat */
    real trace_norm; /* sum zeta^2 / nu_hat; of obgd sum |zeta|, of update_rms sum v */
};

static struct sums policy_sums, critic_sums;

/* Add the gradient to the traces, and do what of the rule needs no signal: zeta = gamma lambda zeta + g. */
static void add_to_traces(const struct learner *learner, struct sums *sums)
{
    const struct step_rule *rule = &learner->step_rule;
    const int n = learner->network.len_flat;
    const real decay = (real)learner->trace_decay;
    real *score = memory + learner->network.score, *trace = memory + learner->eligibility_trace;
    sums->score_norm = sums->trace_norm = 0;
#if HAS_INTENTIONAL
    if (rule->kind == INTENTIONAL) {
        real *second_moment = memory + rule->second_moment, over;
        const real kept = (real)rule->settings.score_decay, fresh = (real)(1 - rule->settings.score_decay);
        words[rule->bias_correction].wide *= rule->settings.score_decay;
        words[rule->bias_correction + 1].wide *= learner->trace_decay;
        words[rule->bias_correction + 2].wide *= rule->settings.slow_decay;
        over = 1 / (real)(1 - words[rule->bias_correction].wide);
        for (int i = 0; i < n; i++) {
            const real g = score[i], zeta = accumulate(trace[i], decay, g);
            const real nu = kept * second_moment[i] + fresh * g * g;
            const real scale = 1 / (square_root(nu * over) + (real)1e-8);
            sums->score_norm += g * g * scale;
            sums->trace_norm += zeta * zeta * scale;
            trace[i] = zeta;
            second_moment[i] = nu;
            score[i] = zeta * scale; /* the direction: the gradient is not read again */
        }
    }
#endif
#if HAS_OBGD
    if (rule->kind == OBGD)
        for (int i = 0; i < n; i++) {
            trace[i] = accumulate(trace[i], decay, score[i]);
            sums->trace_norm += magnitude(trace[i]);
        }
#endif
    (void)rule, (void)n, (void)decay, (void)score, (void)trace;
}

#if HAS_INTENTIONAL
/* Clip the signal and, where asked, divide it by its running magnitude. */
static real bound(const struct step_rule *rule, real signal, real seen)
{
    const struct settings *settings = &rule->settings;
    const real fresh = (real)(1 - settings->slow_decay);
    real *square = memory + rule->signal_square, *size = memory + rule->signal_magnitude, cap, rms, least;
    *square += fresh * (signal * signal - *square);
    cap = square_root(*square / seen) * (real)settings->clip;
    signal = smaller(larger(signal, -cap), cap);
    if (!settings->normalize_signal)
        return signal;
    *size += fresh * (magnitude(signal) - *size);
    rms = square_root(larger((*square - (1 - seen)) / seen, 0));
    least = larger((real)settings->rms_floor * rms, larger((real)settings->signal_floor, (real)1e-12));
    return signal / larger(*size / seen, least);
}

/* BoundedIntentional, from after `add_to_traces`; return step size times signal. */
static real intentional(const struct learner *learner, real signal, const struct sums *sums)
{
    const struct step_rule *rule = &learner->step_rule;
    const struct settings *settings = &rule->settings;
    const real seen_trace = (real)(1 - words[rule->bias_correction + 1].wide);
    const real seen_slow = (real)(1 - words[rule->bias_correction + 2].wide);
    real *sigma = memory + rule->score_norm, *mean = memory + rule->mean_denominator;
    real *peak = memory + rule->peak_denominator, denominator, size;
    *sigma += (1 - (real)learner->trace_decay) * (sums->score_norm - *sigma);
    denominator = square_root(*sigma / seen_trace * sums->trace_norm);
    *mean += (1 - (real)settings->slow_decay) * (denominator - *mean);
    *peak = larger(*peak * (real)settings->peak_decay, *mean / seen_slow);
    size = (real)settings->eta / larger(larger(denominator, *peak * (real)settings->floor), (real)1e-8);
    memory[rule->step_size] = size;
    return size * bound(rule, signal, seen_slow);
}
#endif

#if HAS_OBGD
/* lr / max(1, lr kappa max(|signal|, 1) norm). */
static real bounded_step_size(real lr, real kappa, real norm, real signal)
{
    return lr / larger(larger(magnitude(signal), 1) * norm * (lr * kappa), 1);
}
#endif

#if HAS_UPDATE_RMS
/* UpdateNormalized with the trace: u = signal zeta, theta += lr u / sqrt(v + epsilon^2), with the lr
   of the parameter's part of the network. Return the step size. */
static real step_by_update_rms(const struct learner *learner, real signal)
{
    const struct step_rule *rule = &learner->step_rule;
    const struct settings *settings = &rule->settings;
    const real decay = (real)learner->trace_decay, *ends = memory + rule->ends, *lr = memory + rule->steps;
    const real kept = (real)settings->update_decay, fresh = (real)(1 - settings->update_decay);
    const real least = (real)(settings->epsilon * settings->epsilon);
    const real *score = memory + learner->network.score;
    real *weights = memory + learner->network.flat, *trace = memory + learner->eligibility_trace;
    real *second_moment = memory + rule->second_moment, total = 0;
    for (int i = 0, part = 0; i < learner->network.len_flat; i++) {
        const real zeta = accumulate(trace[i], decay, score[i]), u = signal * zeta;
        const real v = kept * second_moment[i] + fresh * u * u;
        while (part < rule->len_ends - 1 && (real)i >= ends[part])
            part++;
        const real step = lr[part] * u / square_root(v + least);
        trace[i] = zeta;
        second_moment[i] = v;
        weights[i] += step == step ? step : 0; /* not NaN */
        total += v;
    }
    memory[rule->step_size] = (real)settings->lr + 0 * total;
    return memory[rule->step_size];
}
#endif

/* Step along signal times trace; return whether all numbers are finite. */
static int update(const struct learner *learner, real signal, const struct sums *sums)
{
    const struct step_rule *rule = &learner->step_rule;
    const int n = learner->network.len_flat;
    const real *direction = memory + learner->network.score;
    real change = 0;
#if HAS_UPDATE_RMS
    if (rule->kind == UPDATE_RMS)
        return is_finite((double)step_by_update_rms(learner, signal));
#endif
#if HAS_INTENTIONAL
    if (rule->kind == INTENTIONAL)
        change = intentional(learner, signal, sums);
#endif
#if HAS_OBGD
    if (rule->kind == OBGD) {
        const struct settings *settings = &rule->settings;
        direction = memory + learner->eligibility_trace;
        memory[rule->step_size] =
            bounded_step_size((real)settings->lr, (real)settings->kappa, sums->trace_norm, signal);
        change = memory[rule->step_size] * signal;
    }
#endif
    (void)rule, (void)sums;
    if (!is_finite((double)change))
        return 0;
    for (int i = 0; i < n; i++)
        memory[learner->network.flat + i] += change * direction[i];
    return 1;
}
#endif
