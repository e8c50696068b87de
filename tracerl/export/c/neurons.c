/* Layers of neurons and the readout: tracerl/kernels/neurons.py. */

/* Integrate, fire and reset. */
static void fire(const struct layer *layer, const real *current)
{
    const struct constrained *decay = &layer->membrane_decay, *threshold = &layer->threshold;
    const real slope = (real)layer->slope;
    for (int h = 0; h < layer->n_out; h++) {
        const real m = per_neuron(memory + decay->value, decay->len_value, h);
        const real complement = per_neuron(memory + decay->complement, decay->len_value, h);
        const real lowest = per_neuron(memory + threshold->value, threshold->len_value, h);
        const real theta = layer->threshold_rise == ABSENT ? lowest : lowest + memory[layer->threshold_rise + h];
        const real u = lif_potential(current[h], memory[layer->membrane + h], m, complement);
        const struct lif_step step =
            lif_fire(u, theta, slope, layer->surrogate_kind, layer->reset, layer->detach_reset);
        memory[layer->spikes + h] = step.spike;
        memory[layer->membrane + h] = step.membrane;
#if TRACERL_LEARN
        memory[layer->surrogate + h] = step.surrogate;
        memory[layer->reset_gain + h] = step.reset_gain;
        memory[layer->reset_drive + h] = step.reset_drive;
        memory[layer->rate + h] = low_pass(memory[layer->rate + h], (real)layer->rate_decay, step.spike);
        if (layer->threshold_rise != ABSENT) {
            real *rise = memory + layer->threshold_rise + h;
            *rise = raise_threshold(*rise, step.spike, (real)layer->rate_target, (real)layer->threshold_step);
        }
#endif
    }
}

/* Integrate, with a smooth output in place of spikes. */
static void fire_graded(const struct layer *layer, const real *current)
{
    const struct constrained *decay = &layer->membrane_decay, *threshold = &layer->threshold;
    const real slope = (real)layer->slope;
    for (int h = 0; h < layer->n_out; h++) {
        const real m = per_neuron(memory + decay->value, decay->len_value, h);
        const real complement = per_neuron(memory + decay->complement, decay->len_value, h);
        const real theta = per_neuron(memory + threshold->value, threshold->len_value, h);
        const real u = lif_potential(current[h], memory[layer->membrane + h], m, complement);
        const real z = surrogate_integral(u - theta, slope, layer->surrogate_kind);
        memory[layer->spikes + h] = z;
        memory[layer->membrane + h] = u;
#if TRACERL_LEARN
        memory[layer->surrogate + h] = surrogate_derivative(u - theta, slope, layer->surrogate_kind);
        memory[layer->reset_gain + h] = 1;
        memory[layer->rate + h] = low_pass(memory[layer->rate + h], (real)layer->rate_decay, magnitude(z));
#endif
    }
}

#if TRACERL_LEARN && HAS_OTPE
/* Advance d u_t / d weight of every weight, row by row. */
static void carry_potential(const struct layer *layer)
{
    const struct constrained *decay = &layer->membrane_decay;
    const real *inputs = memory + layer->synapses.inputs, *complement = memory + decay->complement;
    const real scale = norm_scale(&layer->norm);
    real *leak = scratch.leak;
    for (int h = 0; h < layer->n_out; h++)
        leak[h] = per_neuron(memory + decay->value, decay->len_value, h) * memory[layer->reset_gain + h];
    for (int i = 0; i < layer->synapses.rows; i++) {
        real *sensitivity = memory + layer->sensitivity + i * layer->n_out;
        const real xi = scale * inputs[i];
        for (int h = 0; h < layer->n_out; h++) {
            const real drive = per_neuron(complement, decay->len_value, h) * xi;
            sensitivity[h] = carry_sensitivity(sensitivity[h], leak[h], drive);
        }
    }
}
#endif

/* One tick of a layer; its output is left where its spikes are. */
static void layer_forward(const struct layer *layer, const real *x)
{
    real *inputs = memory + layer->synapses.inputs, *current = scratch.current;
    for (int i = 0; i < layer->n_in; i++)
        inputs[i] = x[i];
    affine(memory + layer->synapses.affine, inputs, layer->n_in, current, layer->n_out);
#if HAS_NORM
    if (layer->norm.normalized != ABSENT)
        normalize_currents(&layer->norm, current, layer->n_out);
#endif
#if TRACERL_LEARN && HAS_OTPE
    if (layer->sensitivity != ABSENT)
        carry_potential(layer);
#endif
    if (layer->kind == GRADED)
        fire_graded(layer, current);
    else
        fire(layer, current);
}

/* One tick of the readout: y = V zbar + c with zbar = k zbar + (1 - k) z. */
static void li_forward(const struct readout *readout, const real *spikes, real *y)
{
    const int n_in = readout->n_in;
    real *zbar = memory + readout->filtered;
    for (int h = 0; h < n_in; h++) {
        const real k = per_neuron(memory + readout->decay.value, readout->decay.len_value, h);
        const real complement = per_neuron(memory + readout->decay.complement, readout->decay.len_value, h);
        zbar[h] = k * zbar[h] + complement * spikes[h];
    }
    for (int a = 0; a < readout->n_out; a++) {
        const real *weights = memory + readout->affine + a * (n_in + 1);
        real total = weights[n_in];
        for (int h = 0; h < n_in; h++)
            total += weights[h] * zbar[h];
        y[a] = total;
    }
}
