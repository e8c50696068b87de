/* Repeat recorded steps and compare the actions with those of tracerl: test_agent [LOAD|- [SAVE]] < steps.txt
 *
 * A line holds the kind of step (1: start, 2: step, 3: end, terminated, 4: end, truncated), the reward, the observation
 * and, for kinds 1 and 2, the action of tracerl. LOAD is a saved state to begin with, SAVE a file for the state after
 * the last step. Returns 0 if nine actions of ten or more are equal (rounding can part the two), 1 if fewer are, 2 if a
 * file cannot be used, and 3 after a step that the agent did not take. */
#include "agent.h"

#include <stdio.h>
#include <string.h>

static unsigned char state[AGENT_STATE_BYTES + 1];

static int load(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t size;
    if (file == NULL)
        return 0;
    size = fread(state, 1, sizeof(state), file);
    fclose(file);
    return agent_load(state, size);
}

static int save(const char *path)
{
    FILE *file = fopen(path, "wb");
    const size_t size = agent_save(state, sizeof(state));
    if (file == NULL)
        return 0;
    return (fwrite(state, 1, size, file) == size) & (fclose(file) == 0);
}

static int is_near(double a, double b)
{
    const double error = a > b ? a - b : b - a;
    return error <= 1e-3 * (1 + (b < 0 ? -b : b));
}

/* Read the action that is expected, and return whether the newest one is near it. */
static int is_expected(const agent_action *action)
{
    int equal = 1;
    for (int i = 0; i < AGENT_COMPONENTS; i++) {
        double expected;
        equal &= scanf("%lf", &expected) == 1 && is_near((double)action[i], expected);
        printf(i ? " %.9g" : "%.9g", (double)action[i]);
    }
    printf("\n");
    return equal;
}

int main(int argc, char **argv)
{
    long steps = 0, actions = 0, equal = 0, first = 0;
    int kind, refused = 0;
    double reward, observation[AGENT_OBSERVED];
    if (argc > 1 && strcmp(argv[1], "-") != 0 && !load(argv[1])) {
        fprintf(stderr, "%s holds no state of this agent\n", argv[1]);
        return 2;
    }
    while (!refused && scanf("%d %lf", &kind, &reward) == 2) {
        const agent_action *action = NULL;
        for (int i = 0; i < AGENT_OBSERVED; i++)
            if (scanf("%lf", &observation[i]) != 1) {
                fprintf(stderr, "line %ld has no number %d of the observation\n", steps + 1, i + 1);
                return 2;
            }
        steps++;
        if (kind > 2) {
            refused = !agent_end(reward, observation, kind == 3);
            continue;
        }
        action = kind == 1 ? agent_start(observation) : agent_step(reward, observation);
        refused = action == NULL;
        if (refused)
            continue;
        actions++;
        if (is_expected(action))
            equal++;
        else if (first == 0)
            first = steps;
    }
    fprintf(stderr, "%ld steps, %ld of %ld actions equal, state %lu bytes\n", steps, equal, actions,
            (unsigned long)AGENT_STATE_BYTES);
    if (first)
        fprintf(stderr, "the first that differs is at step %ld\n", first);
    if (argc > 2 && !save(argv[2]))
        return 2;
    if (refused) {
        fprintf(stderr, "step %ld has a number that is not finite, or the agent has diverged\n", steps);
        return 3;
    }
    return TRACERL_LEARN && equal * 10 < actions * 9;
}
