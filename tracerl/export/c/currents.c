/* From the inputs of a layer to the currents of its neurons, and back: tracerl/kernels/currents.py. */

#define NORM_EPSILON 1e-5

/* I = W x + b, with a row of weights per input and the biases as the last row. */
static void affine(const real *weights, const real *inputs, int n_in, real *current, int n)
{
    for (int h = 0; h < n; h++)
        current[h] = weights[n_in * n + h];
    for (int i = 0; i < n_in; i++) {
        const real xi = inputs[i], *row = weights + i * n;
        if (xi == 0) /* spikes are mostly zeros */
            continue;
        for (int h = 0; h < n; h++)
            current[h] += xi * row[h];
    }
}

#if HAS_NORM
/* Standardise currents over the neurons of a layer, in place and in the state. */
static void normalize_currents(const struct norm *norm, real *current, int n)
{
    real mean = 0, variance = 0, inverse;
    for (int h = 0; h < n; h++)
        mean += current[h];
    mean /= (real)n;
    for (int h = 0; h < n; h++) {
        current[h] -= mean;
        variance += current[h] * current[h];
    }
    inverse = 1 / square_root(variance / (real)n + (real)NORM_EPSILON);
    for (int h = 0; h < n; h++) {
        current[h] *= inverse;
        memory[norm->normalized + h] = current[h];
    }
    memory[norm->inverse] = inverse;
}
#endif

#if TRACERL_LEARN
/* 1 / the deviation of standardised currents, else 1. */
static real norm_scale(const struct norm *norm) { return norm->inverse == ABSENT ? 1 : memory[norm->inverse]; }

#if HAS_NORM
/* The adjoint of standardisation, of a vector and in place. */
static void centre(real *signal, const real *normalized, int n)
{
    real mean = 0, along = 0;
    for (int h = 0; h < n; h++) {
        mean += signal[h];
        along += signal[h] * normalized[h];
    }
    mean /= (real)n;
    along /= (real)n;
    for (int h = 0; h < n; h++)
        signal[h] -= mean + normalized[h] * along;
}
#endif

#if HAS_PATH_CREDIT || HAS_PRESYNAPTIC
/* From a signal at the outputs of a layer to that at its currents, in place. */
static void at_currents(const struct layer *layer, real *signal)
{
    const real *complement = memory + layer->membrane_decay.complement, *psi = memory + layer->surrogate;
    const real scale = norm_scale(&layer->norm);
    for (int h = 0; h < layer->n_out; h++)
        signal[h] *= scale * psi[h] * per_neuron(complement, layer->membrane_decay.len_value, h);
#if HAS_NORM
    if (layer->norm.normalized != ABSENT)
        centre(signal, memory + layer->norm.normalized, layer->n_out);
#endif
}

/* From a signal at the currents of a layer to that at its inputs. */
static void vjp(const real *weights, const real *signal, int n, real *below, int n_in)
{
    for (int i = 0; i < n_in; i++) {
        real total = 0;
        for (int h = 0; h < n; h++)
            total += signal[h] * weights[i * n + h];
        below[i] = total;
    }
}
#endif
#endif
