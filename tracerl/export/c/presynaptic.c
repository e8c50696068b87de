/* Presynaptic credit of layers in a row: tracerl/kernels/presynaptic.py. */

#if TRACERL_LEARN && HAS_PRESYNAPTIC
/* A trace of the inputs, which decays as the membranes do on average. */
static void update_presynaptic(const struct layer *layer)
{
    const struct constrained *decay = &layer->membrane_decay;
    const real scale = norm_scale(&layer->norm);
    real kept = 0;
    for (int h = 0; h < decay->len_value; h++)
        kept += memory[decay->value + h];
    kept /= (real)decay->len_value;
    for (int i = 0; i < layer->synapses.rows; i++) {
        real *trace = memory + layer->presynaptic.trace + i;
        *trace = accumulate(*trace, kept, scale * memory[layer->synapses.inputs + i]);
    }
}

/* The scores of all layers, from the top one down; V^T g stands in `below`. */
static void score_presynaptic(const struct learner *learner)
{
    const struct network *network = &learner->network;
    const struct constrained *decay = &network->readout.decay;
    const offset shift = network->score - network->flat;
    real *signal = scratch.current, *leaving = scratch.further_below;
    for (int h = 0; h < network->readout.n_in; h++)
        signal[h] = scratch.below[h] * per_neuron(memory + decay->complement, decay->len_value, h);
    for (int i = network->len_hidden - 1; i >= 0; i--) {
        const struct layer *layer = &layers[network->first_layer + i];
        const real scale = norm_scale(&layer->norm);
        const real over = scale > 0 ? 1 / scale : 0; /* 0 before the first observation */
        real *below = leaving;
        at_currents(layer, signal);
        if (i > 0)
            vjp(memory + layer->synapses.affine, signal, layer->n_out, below, layer->n_in);
        for (int h = 0; h < layer->n_out; h++)
            signal[h] *= over; /* the scale is in the trace */
        for (int r = 0; r < layer->synapses.rows; r++)
            for (int h = 0; h < layer->n_out; h++)
                memory[layer->synapses.affine + shift + r * layer->n_out + h] =
                    memory[layer->presynaptic.trace + r] * signal[h];
        leaving = signal;
        signal = below;
    }
}
#endif
