/* The equations of tracerl/nn/functional for one number each, under their names: tracerl/kernels/functional.py.
 *
 * Of the C library only sqrt, exp and log are used, or sqrtf, expf and logf where real is float. */

#define RECTIFIER_LEAK 0.01
#define RECTIFIER_MEAN 0.4
#define PI 3.14159265358979323846
#define HALF_LOG_2_PI 0.91893853320467274178
#define IS_DOUBLE (sizeof(real) > sizeof(float))

static real larger(real a, real b) { return a > b ? a : b; }
static real smaller(real a, real b) { return a < b ? a : b; }
static real magnitude(real x) { return x < 0 ? -x : x; }
static int is_finite(double x) { return x - x == 0; }

static real square_root(real x) { return IS_DOUBLE ? (real)sqrt(x) : (real)sqrtf((float)x); }
static real exponential(real x) { return IS_DOUBLE ? (real)exp(x) : (real)expf((float)x); }
static real logarithm(real x) { return IS_DOUBLE ? (real)log(x) : (real)logf((float)x); }

/* The root of a positive float64 number, by two Newton steps where only sqrtf is there. */
static double wide_square_root(double x)
{
    double root, scale = 1;
    if (IS_DOUBLE)
        return sqrt(x);
    if (!is_finite(x))
        return x;
    for (; x > 1e30; scale *= 0x1p40)
        x *= 0x1p-80;
    root = (double)sqrtf((float)x);
    root = 0.5 * (root + x / root);
    return scale * 0.5 * (root + x / root);
}

/* atan t / t is a polynomial in t^2 for t in [0, 1]; beyond, atan x = pi/2 - atan(1/x). Within 2 units of a float. */
static real arctan_single(real x)
{
    static const float factors[] = {
        0.0028498889f, -0.0160686261f, 0.0426915146f, -0.0750429415f, 0.106409338f,
        -0.142036444f, 0.199926194f, -0.333330733f, 0.999999985f,
    };
    const real size = magnitude(x), t = smaller(size, 1) / larger(size, 1), z = t * t;
    real y = factors[0];
    for (int i = 1; i < 9; i++)
        y = y * z + factors[i];
    y *= t;
    y = size > 1 ? (real)(PI / 2) - y : y;
    return x > 0 ? y : -y;
}

/* As above, with the argument halved three times: atan t = 2 atan(t / (1 + sqrt(1 + t^2))), then a Taylor series. */
static real arctan_double(real x)
{
    const real size = magnitude(x);
    real t = smaller(size, 1) / larger(size, 1), y = 0, z;
    for (int i = 0; i < 3; i++)
        t /= 1 + square_root(1 + t * t);
    z = t * t;
    for (int k = 10; k >= 0; k--)
        y = 1 / (real)(2 * k + 1) - z * y;
    y *= 8 * t;
    y = size > 1 ? (real)(PI / 2) - y : y;
    return x > 0 ? y : -y;
}

static real arctan(real x) { return IS_DOUBLE ? arctan_double(x) : arctan_single(x); }

static real surrogate_integral(real distance, real slope, int kind)
{
    if (kind == RECTIFIER || kind == CENTERED_RECTIFIER) {
        const real rectified = distance * (distance > 0 ? slope : slope * (real)RECTIFIER_LEAK);
        return kind == CENTERED_RECTIFIER ? rectified - slope * (real)RECTIFIER_MEAN : rectified;
    }
    if (kind == TRIANGLE) {
        const real x = smaller(larger(slope * distance, -1), 1);
        return x * (1 - (real)0.5 * magnitude(x));
    }
    return (real)(2 / PI) * arctan((real)(PI / 2) * slope * distance);
}

static real lif_potential(real current, real membrane_tm1, real membrane_decay, real complement)
{
    return membrane_decay * membrane_tm1 + complement * current;
}

#if TRACERL_LEARN
static real low_pass(real trace, real decay, real value) { return decay * trace + (1 - decay) * value; }

static real surrogate_derivative(real distance, real slope, int kind)
{
    if (kind == RECTIFIER || kind == CENTERED_RECTIFIER)
        return distance > 0 ? slope : slope * (real)RECTIFIER_LEAK;
    if (kind == TRIANGLE)
        return larger(slope - slope * slope * magnitude(distance), 0);
    return 1 / (1 / slope + (real)(PI / 2 * PI / 2) * slope * distance * distance);
}
#endif

/* One tick of a neuron that spikes; surrogate, reset_gain and reset_drive are read by learning alone. */
struct lif_step { real spike, membrane, surrogate, reset_gain, reset_drive; };

static struct lif_step lif_fire(real potential, real threshold, real slope, int surrogate, int reset, int detach_reset)
{
    struct lif_step step = {0, 0, 0, 0, 0};
    step.spike = potential >= threshold ? 1 : 0;
    step.membrane = reset == HARD ? potential * (1 - step.spike) : potential - threshold * step.spike;
#if TRACERL_LEARN
    step.surrogate = surrogate_derivative(potential - threshold, slope, surrogate);
    if (reset == HARD) {
        step.reset_drive = detach_reset ? 0 : potential * step.surrogate;
        step.reset_gain = 1 - step.spike - step.reset_drive;
    } else {
        step.reset_drive = detach_reset ? 0 : threshold * step.surrogate;
        step.reset_gain = 1 - step.reset_drive;
        step.reset_drive -= step.spike;
    }
#else
    (void)slope, (void)surrogate, (void)detach_reset;
#endif
    return step;
}

#if TRACERL_LEARN
/* Move a threshold towards the one at which its neuron fires at a rate. */
static real raise_threshold(real rise, real spike, real rate_target, real step)
{
    return larger(0, rise + step * (spike - rate_target));
}
#endif

#if HEAD_IS_GAUSSIAN
static real log_1p(real x)
{
    const real u = 1 + x;
    return u == 1 ? x : logarithm(u) * x / (u - 1);
}

static real softplus(real x) { return larger(x, 0) + log_1p(exponential(-magnitude(x))); }
static real sigmoid(real x) { return 1 / (1 + exponential(-x)); }

/* cos(2 pi v) for v in [0, 1), by a Taylor series on an eighth of a turn. */
static real cosine_of_turns(double v)
{
    real sign = 1, y = 0, x;
    int first;
    v = v > 0.5 ? 1 - v : v;
    if (v > 0.25) {
        v = 0.5 - v;
        sign = -1;
    }
    first = v > 0.125; /* of the sine of the rest of a quarter: x - x^3/3! + ...; else 1 - x^2/2! + ... */
    x = (real)(2 * PI) * (real)(first ? 0.25 - v : v);
    for (int k = 9; k >= 1; k--)
        y = (1 - y) * x * x / (real)((2 * k + first) * (2 * k + first - 1));
    return sign * (first ? x : 1) * (1 - y);
}

static real box_muller(double u, double v)
{
    const real log_rest = u < 0.5 ? log_1p((real)-u) : logarithm((real)(1 - u));
    return square_root(-2 * log_rest) * cosine_of_turns(v);
}
#endif

#if TRACERL_LEARN
static real accumulate(real trace, real decay, real value) { return decay * trace + value; }

#if HAS_OTPE
static real carry_sensitivity(real sensitivity, real leak, real drive) { return leak * sensitivity + drive; }
#endif

static real td_error(real reward, real value_t, real value_tp1, real discount, int continues)
{
    return reward - value_t + (continues ? discount * value_tp1 : 0);
}

#if !HEAD_IS_GAUSSIAN
static real categorical_entropy(const real *probabilities, const real *log_probabilities, int n)
{
    real total = 0;
    for (int a = 0; a < n; a++)
        total -= probabilities[a] * log_probabilities[a];
    return total;
}

static real categorical_entropy_gradient(real probability, real log_probability, real entropy)
{
    return -probability * (log_probability + entropy);
}
#else
/* The mass of the standard normal distribution beyond x: a series around 0, a continued fraction in the tail. */
static real tail(real x)
{
    const real size = magnitude(x), density = exponential((real)-0.5 * x * x - (real)HALF_LOG_2_PI);
    real term = size, total = 0, beyond = size;
    if (size < 2) {
        for (int k = 3; total + term > total; k += 2) {
            total += term;
            term *= x * x / (real)k;
        }
        return (real)0.5 - (x < 0 ? -density : density) * total;
    }
    for (int k = 70; k > 0; k--)
        beyond = size + (real)k / beyond;
    return x < 0 ? 1 - density / beyond : density / beyond;
}

/* Which bound is reached (-1, 0: none, 1), and its distance from the mean in deviations. */
static int beyond(real action, real mean, real std, real low, real high, real *distance)
{
    if (action >= high) {
        *distance = (high - mean) / std;
        return 1;
    }
    *distance = action <= low ? (mean - low) / std : 0;
    return action <= low ? -1 : 0;
}

static real clipped_gaussian_log_probability(real action, real mean, real std, real low, real high)
{
    real distance;
    const int side = beyond(action, mean, std, low, high, &distance);
    const real z = (action - mean) / std;
    return side ? logarithm(tail(distance)) : -(z * z * (real)0.5 + logarithm(std) + (real)HALF_LOG_2_PI);
}

/* The gradient by mean and by deviation. */
static void clipped_gaussian_score(real action, real mean, real std, real low, real high, real *by_mean, real *by_std)
{
    real distance;
    const int side = beyond(action, mean, std, low, high, &distance);
    if (side) {
        const real hazard = exponential((real)-0.5 * distance * distance - (real)HALF_LOG_2_PI) / tail(distance);
        *by_mean = (real)side * hazard / std;
        *by_std = distance * hazard / std;
    } else {
        const real z = (action - mean) / std;
        *by_mean = z / std;
        *by_std = (z * z - 1) / std;
    }
}

static real gaussian_entropy(real std) { return logarithm(std) + (real)(HALF_LOG_2_PI + 0.5); }

static real relative_entropy_by_log_std(real std, double reference_std)
{
    const real ratio = std / (real)reference_std;
    return 1 - ratio * ratio;
}

static real relative_entropy_by_mean(real mean, real low, real high, double reference_std)
{
    return (smaller(larger(mean, low), high) - mean) / (real)(reference_std * reference_std);
}
#endif
#endif
