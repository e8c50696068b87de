/* The layout of the state: tracerl/kernels/layout.py, with the fields that the parts of this program read.
 *
 * A field is named after the attribute that it stands for. The tables in weights.h are of these types; the exporter
 * fills every field that is declared here from the kernels' record of that name. */

typedef int32_t offset; /* place in `memory` or, of 64-bit numbers, in `words`; ABSENT for what the agent lacks */
#define ABSENT (-1)

enum { INTENTIONAL = 0, OBGD = 1, UPDATE_RMS = 4 }; /* kinds of step-size rules */
enum { CATEGORICAL = 0, GAUSSIAN = 2 };             /* of heads */
enum { SPIKING = 0, GRADED = 1 };                   /* of layers */
enum { SOFT = 0, HARD = 1 };                        /* resets */
enum { TRIANGLE = 0, ARCTAN = 1, RECTIFIER = 2, CENTERED_RECTIFIER = 3 }; /* surrogates */

struct moments { offset count, mean, squares; };              /* a running mean and a sum of squares, in words */
struct constrained { offset value, complement; int32_t len_value; }; /* a decay and 1 - decay, or a threshold */
struct norm { offset normalized, inverse; };                  /* standardised currents and 1 / their deviation */
struct synapses { offset affine, inputs; int32_t n_in, rows; }; /* a row of weights per input, biases last */
struct readout_credit { offset eligibility; };                /* of the layer under the readout, [rows, n_out] */
struct path_credit { offset carried, projected; int32_t len_levels; }; /* of a layer below */
struct presynaptic { offset trace; };                         /* of the inputs, [n_in + 1] */

struct layer {
    int32_t kind, n_in, n_out, rows, reset, surrogate_kind, detach_reset;
    double slope, rate_decay, rate_target, threshold_step;
    struct synapses synapses;
    struct norm norm;
    offset membrane, spikes, surrogate, reset_gain, reset_drive, rate, sensitivity, threshold_rise;
    struct constrained membrane_decay, threshold;
    struct readout_credit readout_credit;
    struct path_credit path_credit;
    struct presynaptic presynaptic;
};

struct readout {
    int32_t n_in, n_out;
    offset affine, filtered;
    struct constrained decay;
};

struct network {
    offset flat, score; /* parameters, and the gradient of the objective with respect to them */
    int32_t len_flat, len_hidden, first_layer, ticks;
    struct readout readout;
};

struct settings {
    double eta, floor, peak_decay, score_decay, slow_decay, clip, signal_floor, rms_floor;
    double lr, kappa, update_decay, epsilon;
    int32_t normalize_signal;
};

struct step_rule {
    int32_t kind;
    offset step_size, second_moment, score_norm, mean_denominator, peak_denominator, signal_square, signal_magnitude;
    offset bias_correction; /* in words */
    offset ends, steps; /* of update_rms */
    int32_t len_ends;
    struct settings settings;
};

struct learner {
    struct network network;
    struct step_rule step_rule;
    offset eligibility_trace;
    double trace_decay;
};

struct head {
    int32_t kind, n_outputs, n_components;
    offset action, log_probabilities, probabilities, mean, std, std_gain, excess, sent;
    offset sizes, grid, low, high, centre, half_range, least, most, ends; /* in constants */
    double each_std, target_std, each_reference, std_unit, mean_margin;
};

struct normalizer { double clip; struct moments moments; };
struct encoder {
    int32_t n_out;
    offset trace;                        /* in words */
    offset trace_decays, memory_decays;  /* in constants */
    int32_t len_trace_decays, len_memory_decays;
    double trace_scale;
    struct normalizer normalizer;
};
struct stream { offset counter; };
struct reward_scaler { offset discounted; struct moments moments; };
struct growing_discount { offset age; double last, share; };
struct log_prob_trace { offset trace; double trace_decay; };

struct agent {
    struct learner policy, critic;
    struct encoder encoder;
    struct head head;
    struct stream stream;
    struct reward_scaler reward_scaler;
    struct growing_discount growing_discount;
    struct log_prob_trace log_prob_trace;
    offset value, signal, entropy, sums, fault;
    int32_t n_observed;
    double discount, entropy_weight;
};

union word { int64_t word; double wide; }; /* a 64-bit number of the state */
