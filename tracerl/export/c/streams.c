/* What comes in: random numbers, the encoder and the scale of rewards: tracerl/kernels/streams.py. */

#define SCALE_EPSILON 1e-8
#define LEAST_SHARE 0.01
#define KNOWN_REWARDS 1000

/* The next number in [0, 1) of the SplitMix64 stream. */
static double uniform(void)
{
    uint64_t bits = (uint64_t)words[agent.stream.counter].word + UINT64_C(0x9E3779B97F4A7C15);
    words[agent.stream.counter].word = (int64_t)bits;
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94D049BB133111EB);
    bits ^= bits >> 31;
    return (double)(bits >> 11) * 0x1p-53;
}

/* Standardise feature i by its running moments, of which the count has already risen. */
static double normalize(int i, double value)
{
    const struct normalizer *normalizer = &agent.encoder.normalizer;
    double count, before, after, variance, z, *mean, *squares;
    if (normalizer->moments.count == ABSENT)
        return value;
    count = words[normalizer->moments.count].wide;
    mean = &words[normalizer->moments.mean + i].wide;
    squares = &words[normalizer->moments.squares + i].wide;
    before = value - *mean;
    *mean += before / count;
    after = value - *mean;
    *squares += before * after;
    variance = count > 1 ? *squares / (count - 1) : 1;
    z = after / wide_square_root(variance + SCALE_EPSILON);
    z = z < -normalizer->clip ? -normalizer->clip : z;
    return z > normalizer->clip ? normalizer->clip : z;
}

/* RawEncoder or ContrastEncoder: write the features that enter the networks. */
static void encode(const double *observation, int first)
{
    const struct encoder *encoder = &agent.encoder;
    const int n = agent.n_observed, contrasts = encoder->len_trace_decays;
    if (encoder->normalizer.moments.count != ABSENT)
        words[encoder->normalizer.moments.count].wide += 1;
    for (int i = 0; i < n; i++)
        scratch.encoded[i] = (real)normalize(i, observation[i]);
    for (int k = 0; k < contrasts + encoder->len_memory_decays; k++) {
        const int is_memory = k >= contrasts;
        const double decay =
            constants[is_memory ? encoder->memory_decays + k - contrasts : encoder->trace_decays + k];
        for (int i = 0; i < n; i++) {
            double *trace = &words[encoder->trace + k * n + i].wide, contrast;
            if (first)
                *trace = is_memory ? 0 : observation[i];
            contrast = observation[i] - *trace;
            *trace += (1 - decay) * contrast;
            scratch.encoded[(k + 1) * n + i] =
                (real)(normalize((k + 1) * n + i, is_memory ? *trace : contrast) * encoder->trace_scale);
        }
    }
}

#if TRACERL_LEARN
/* GrowingDiscount, or the constant. */
static double discount(void)
{
    const struct growing_discount *growing = &agent.growing_discount;
    double gamma;
    if (growing->age == ABSENT)
        return agent.discount;
    words[growing->age].wide += 1;
    gamma = 1 - 1 / (growing->share * words[growing->age].wide);
    gamma = gamma < agent.discount ? agent.discount : gamma;
    return gamma > growing->last ? growing->last : gamma;
}

/* RewardScaler: divide a reward by the running deviation of the discounted sum of rewards. */
static double scale_reward(double reward, double gamma)
{
    const struct reward_scaler *scaler = &agent.reward_scaler;
    double *discounted, *mean, *squares, count, total, limit, before, mean_square, variance;
    if (scaler->discounted == ABSENT)
        return reward;
    discounted = &words[scaler->discounted].wide;
    mean = &words[scaler->moments.mean].wide;
    squares = &words[scaler->moments.squares].wide;
    count = words[scaler->moments.count].wide;
    total = *squares + count * (*mean * *mean);
    if (count >= KNOWN_REWARDS && total > 0) {
        limit = wide_square_root(total);
        reward = reward > limit ? limit : reward < -limit ? -limit : reward;
    }
    *discounted = *discounted * gamma + reward;
    count = words[scaler->moments.count].wide += 1;
    before = *discounted - *mean;
    *mean += before / count;
    *squares += before * (*discounted - *mean);
    mean_square = *squares / count + *mean * *mean;
    variance = mean_square;
    if (count > 1) {
        variance = *squares / (count - 1);
        variance = variance < mean_square * LEAST_SHARE ? mean_square * LEAST_SHARE : variance;
    }
    return reward / wide_square_root(variance + SCALE_EPSILON);
}
#endif
