/* A whole network forward and backward: tracerl/kernels/networks.py. */

/* One env step on the held input x; writes the outputs y. */
static void forward(const struct network *network, const real *x, real *y)
{
    const struct layer *bottom = &layers[network->first_layer];
    for (int tick = 0; tick < network->ticks; tick++) {
        const real *signal = x;
#if TRACERL_LEARN && HAS_PATH_CREDIT
        for (int i = 1; i < network->len_hidden; i++)
            if (bottom[i].sensitivity != ABSENT)
                scratch.retention[i] = mean_state_retention(&bottom[i]);
#endif
        for (int i = 0; i < network->len_hidden; i++) {
            layer_forward(&bottom[i], signal);
            signal = memory + bottom[i].spikes;
        }
        li_forward(&network->readout, signal, y);
#if TRACERL_LEARN && HAS_PRESYNAPTIC
        for (int i = 0; i < network->len_hidden; i++)
            if (bottom[i].presynaptic.trace != ABSENT)
                update_presynaptic(&bottom[i]);
#endif
#if TRACERL_LEARN && HAS_OTPE
        if (bottom[network->len_hidden - 1].sensitivity != ABSENT) {
            update_readout_credit(&network->readout, &bottom[network->len_hidden - 1]);
#if HAS_PATH_CREDIT
            if (network->len_hidden > 1)
                update_path_credits(network);
#endif
        }
#endif
    }
}

#if TRACERL_LEARN
/* Write the score of every parameter for the signal g at the outputs, and add them to the traces. */
static void backward(const struct learner *learner, const real *g, struct sums *sums)
{
    const struct network *network = &learner->network;
    const struct readout *readout = &network->readout;
    const offset shift = network->score - network->flat; /* from a parameter to its score */
    for (int h = 0; h < readout->n_in; h++)
        scratch.below[h] = 0;
    for (int a = 0; a < readout->n_out; a++) {
        const offset start = readout->affine + a * (readout->n_in + 1);
        for (int h = 0; h <= readout->n_in; h++)
            memory[start + shift + h] = g[a] * memory[readout->filtered + h];
        for (int h = 0; h < readout->n_in; h++)
            scratch.below[h] += g[a] * memory[start + h];
    }
#if HAS_PRESYNAPTIC
    if (layers[network->first_layer].presynaptic.trace != ABSENT)
        score_presynaptic(learner);
#endif
#if HAS_OTPE
    for (int i = 0; i < network->len_hidden; i++)
        if (layers[network->first_layer + i].sensitivity != ABSENT)
            score_layer(learner, &layers[network->first_layer + i], g);
#endif
    add_to_traces(learner, sums);
}
#endif

static void clear_layer(const struct layer *layer, int n_outputs)
{
    zero(layer->membrane, layer->n_out);
    zero(layer->spikes, layer->n_out);
#if TRACERL_LEARN
    zero(layer->surrogate, layer->n_out);
    zero(layer->reset_gain, layer->n_out);
    zero(layer->reset_drive, layer->n_out);
#if HAS_PRESYNAPTIC
    if (layer->presynaptic.trace != ABSENT)
        zero(layer->presynaptic.trace, layer->synapses.n_in + 1);
#endif
#if HAS_OTPE
    if (layer->sensitivity != ABSENT)
        zero(layer->sensitivity, layer->n_out * layer->rows);
    if (layer->readout_credit.eligibility != ABSENT)
        zero(layer->readout_credit.eligibility, layer->n_out * layer->rows);
#endif
#if HAS_PATH_CREDIT
    if (layer->path_credit.carried != ABSENT) {
        zero(layer->path_credit.carried, layer->n_out * layer->rows * layer->path_credit.len_levels);
        zero(layer->path_credit.projected, layer->n_out * layer->rows * n_outputs);
    }
#endif
#endif
    (void)n_outputs;
}

/* Membranes and every trace of a network to zero. */
static void clear(const struct learner *learner)
{
    const struct network *network = &learner->network;
#if TRACERL_LEARN
    zero(learner->eligibility_trace, network->len_flat);
#endif
    zero(network->readout.filtered, network->readout.n_in);
    for (int i = 0; i < network->len_hidden; i++)
        clear_layer(&layers[network->first_layer + i], network->readout.n_out);
}
