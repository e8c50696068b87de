/* Learn CartPole from nothing until 20 episodes have a mean return of 475, or for STEPS steps. */
#include "agent.h"
#include "board.h"
#include "cartpole.h"

#define EPISODES 20 /* whose mean return is printed */
#define SOLVED 475

int main(void)
{
    uint32_t returns[EPISODES] = {0}, episodes = 0, sum = 0, reached = 0, steps = 0, length = 0, most = 0;
    uint64_t ticks = 0;
    double observation[AGENT_OBSERVED];
    const agent_action *action;
    cartpole_seed(SEED);
    cartpole_reset(observation);
    start_clock();
    action = agent_start(observation);
    while (action != NULL && steps < STEPS && !reached) {
        const enum ending ending = cartpole_step((int)action[0], observation);
        const uint32_t before = ticks_now();
        uint32_t passed;
        steps++;
        length++;
        if (ending == CONTINUES)
            action = agent_step(1, observation);
        else
            agent_end(1, observation, ending == TERMINATED);
        passed = ticks_since(before);
        if (ending == CONTINUES) {
            ticks += passed;
            most = passed > most ? passed : most;
            continue;
        }
        sum += length - returns[episodes % EPISODES];
        returns[episodes % EPISODES] = length;
        episodes++;
        if (episodes % EPISODES == 0) {
            print("step ");
            print_number(steps);
            print(" mean ");
            print_number(sum / EPISODES);
            print("\n");
        }
        reached = episodes >= EPISODES && sum >= SOLVED * EPISODES ? steps : 0;
        length = 0;
        cartpole_reset(observation);
        action = agent_start(observation);
    }
    print("end: steps ");
    print_number(steps);
    print(" episodes ");
    print_number(episodes);
    print(" reached ");
    print_number(reached);
    print(" ticks ");
    print_number((uint32_t)(ticks / (steps > episodes ? steps - episodes : 1)));
    print(" most ");
    print_number(most);
    print("\n");
    return action == NULL;
}
