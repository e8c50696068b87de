/* CartPole-v1: see cartpole.c. An observation has 4 numbers; an action is 0 (left) or 1 (right). */
#ifndef CARTPOLE_H
#define CARTPOLE_H

#include <stdint.h>

enum ending { CONTINUES, TERMINATED, TRUNCATED };

void cartpole_seed(uint64_t seed);
void cartpole_reset(double *observation);
enum ending cartpole_step(int action, double *observation);

#endif
