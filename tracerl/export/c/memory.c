/* The state, and vectors that are written before they are read: tracerl/kernels/memory.py and scratch.py. */

static real memory[AGENT_REALS];       /* numbers of the network's type */
static union word words[AGENT_WORDS]; /* numbers that have 64 bits whatever the network's type is */

static struct {
    real current[WIDEST], add[WIDEST]; /* WIDEST: neurons of the widest layer */
    real encoded[N_ENCODED];           /* features of the newest observation */
    real output[MOST_OUTPUTS];         /* of a network */
#if TRACERL_LEARN
    real leak[WIDEST], below[WIDEST], signal[MOST_OUTPUTS];
#if HAS_PATH_CREDIT
    real retention[MOST_LAYERS], path[MOST_OUTPUTS * WIDEST], path_below[MOST_OUTPUTS * WIDEST];
#endif
#if HAS_PRESYNAPTIC
    real further_below[WIDEST];
#endif
#endif
} scratch;

/* A quantity of neuron h: its own number, or the one that its layer shares. */
static real per_neuron(const real *values, int count, int h) { return values[count > 1 ? h : 0]; }

static void zero(offset start, int size)
{
    for (int i = 0; i < size; i++)
        memory[start + i] = 0;
}
