/* OTPE credit of hidden layers in a row: tracerl/kernels/otpe.py. */

#if TRACERL_LEARN && HAS_OTPE
/* E = k E + (1 - k) e of the layer under the readout, where e = psi du/dw. */
static void update_readout_credit(const struct readout *readout, const struct layer *layer)
{
    const struct constrained *decay = &readout->decay;
    real *add = scratch.add;
    for (int h = 0; h < layer->n_out; h++)
        add[h] = per_neuron(memory + decay->complement, decay->len_value, h) * memory[layer->surrogate + h];
    for (int i = 0; i < layer->rows; i++) {
        real *eligibility = memory + layer->readout_credit.eligibility + i * layer->n_out;
        const real *sensitivity = memory + layer->sensitivity + i * layer->n_out;
        for (int h = 0; h < layer->n_out; h++) {
            const real keep = per_neuron(memory + decay->value, decay->len_value, h);
            eligibility[h] = keep * eligibility[h] + add[h] * sensitivity[h];
        }
    }
}

#if HAS_PATH_CREDIT
/* The mean of m dv/du over a layer, as its last tick left it. */
static real mean_state_retention(const struct layer *layer)
{
    const struct constrained *decay = &layer->membrane_decay;
    real total = 0;
    for (int h = 0; h < layer->n_out; h++)
        total += per_neuron(memory + decay->value, decay->len_value, h) * memory[layer->reset_gain + h];
    return total / (real)layer->n_out;
}

/* Carry e through the layers above, and project it on every output along `path`, [n_outputs, n_out]. */
static void update_path_credit(const struct layer *layer, const real *retention, real kept, const real *path,
                               int n_outputs)
{
    const struct path_credit *credit = &layer->path_credit;
    const int n = layer->n_out, size = layer->rows * n;
    real *local = scratch.current;
    for (int i = 0; i < layer->rows; i++) {
        for (int h = 0; h < n; h++)
            local[h] = memory[layer->surrogate + h] * memory[layer->sensitivity + i * n + h];
        for (int level = 0; level < credit->len_levels; level++) {
            real *carried = memory + credit->carried + level * size + i * n;
            for (int h = 0; h < n; h++) {
                local[h] += retention[level] * carried[h];
                carried[h] = local[h];
            }
        }
        for (int j = 0; j < n_outputs; j++) {
            real *projected = memory + credit->projected + j * size + i * n;
            for (int h = 0; h < n; h++)
                projected[h] = accumulate(projected[h], kept, path[j * n + h] * local[h]);
        }
    }
}

/* The layers that are not under the readout; `mean_state_retention` of each layer stands in `retention`. */
static void update_path_credits(const struct network *network)
{
    const struct readout *readout = &network->readout;
    const struct constrained *decay = &readout->decay;
    const int n_out = readout->n_out;
    real *path = scratch.path, *below = scratch.path_below, kept = 0;
    for (int h = 0; h < decay->len_value; h++)
        kept += memory[decay->value + h];
    kept /= (real)decay->len_value;
    for (int j = 0; j < n_out; j++)
        for (int h = 0; h < readout->n_in; h++)
            path[j * readout->n_in + h] = memory[readout->affine + j * (readout->n_in + 1) + h] *
                                          per_neuron(memory + decay->complement, decay->len_value, h);
    for (int i = network->len_hidden - 2; i >= 0; i--) {
        const struct layer *layer = &layers[network->first_layer + i], *above = layer + 1;
        real *written = below;
        for (int j = 0; j < n_out; j++) {
            real *signal = path + j * above->n_out;
            at_currents(above, signal);
            vjp(memory + above->synapses.affine, signal, above->n_out, below + j * layer->n_out, layer->n_out);
        }
        update_path_credit(layer, scratch.retention + i + 1, kept, below, n_out);
        below = path;
        path = written;
    }
}
#endif

/* The scores of a layer's weights for the signal g at the outputs; V^T g stands in `below`. */
static void score_layer(const struct learner *learner, const struct layer *layer, const real *g)
{
    const offset shift = learner->network.score - learner->network.flat;
    const int n = layer->n_out;
    for (int i = 0; i < layer->rows; i++) {
        real *scores = memory + layer->synapses.affine + shift + i * n;
        if (layer->readout_credit.eligibility != ABSENT)
            for (int h = 0; h < n; h++)
                scores[h] = scratch.below[h] * memory[layer->readout_credit.eligibility + i * n + h];
#if HAS_PATH_CREDIT
        else {
            for (int h = 0; h < n; h++)
                scores[h] = 0;
            for (int j = 0; j < learner->network.readout.n_out; j++) {
                const real *projected = memory + layer->path_credit.projected + (j * layer->rows + i) * n;
                for (int h = 0; h < n; h++)
                    scores[h] += g[j] * projected[h];
            }
        }
#else
        (void)g;
#endif
#if HAS_NORM
        if (layer->norm.normalized != ABSENT)
            centre(scores, memory + layer->norm.normalized, n);
#endif
    }
}
#endif
