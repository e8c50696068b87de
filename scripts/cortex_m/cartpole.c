/* CartPole-v1 of Gymnasium: a pole on a cart, reward 1 per step, at most 500 steps. */
#include "cartpole.h"

#include <math.h>

#define GRAVITY 9.8f
#define POLE_MASS 0.1f
#define TOTAL_MASS 1.1f
#define HALF_LENGTH 0.5f
#define FORCE 10.0f
#define SECONDS 0.02f
#define FARTHEST 2.4f
#define WIDEST_ANGLE 0.20943951f /* 12 degrees */
#define LIMIT 500

static float state[4]; /* position, velocity, angle, angular velocity */
static int steps;
static uint64_t counter;

/* A number in [-0.05, 0.05), by SplitMix64. */
static float small_number(void)
{
    uint64_t bits = counter += UINT64_C(0x9E3779B97F4A7C15);
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94D049BB133111EB);
    bits ^= bits >> 31;
    return ((float)(bits >> 40) * 0x1p-24f - 0.5f) * 0.1f;
}

static void observe(double *observation)
{
    for (int i = 0; i < 4; i++)
        observation[i] = state[i];
}

void cartpole_seed(uint64_t seed) { counter = seed << 32; }

void cartpole_reset(double *observation)
{
    for (int i = 0; i < 4; i++)
        state[i] = small_number();
    steps = 0;
    observe(observation);
}

enum ending cartpole_step(int action, double *observation)
{
    const float force = action == 1 ? FORCE : -FORCE, sine = sinf(state[2]), cosine = cosf(state[2]);
    const float pushed = (force + POLE_MASS * HALF_LENGTH * state[3] * state[3] * sine) / TOTAL_MASS;
    const float angular = (GRAVITY * sine - cosine * pushed) /
                          (HALF_LENGTH * (4.0f / 3.0f - POLE_MASS * cosine * cosine / TOTAL_MASS));
    const float linear = pushed - POLE_MASS * HALF_LENGTH * angular * cosine / TOTAL_MASS;
    state[0] += SECONDS * state[1];
    state[1] += SECONDS * linear;
    state[2] += SECONDS * state[3];
    state[3] += SECONDS * angular;
    steps++;
    observe(observation);
    if (fabsf(state[0]) > FARTHEST || fabsf(state[2]) > WIDEST_ANGLE)
        return TERMINATED;
    return steps >= LIMIT ? TRUNCATED : CONTINUES;
}
