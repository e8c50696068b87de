/* @ABOUT@
 *
 * Written by tracerl @VERSION@. The README beside this file says how to build and to use it. */
#ifndef TRACERL_AGENT_H
#define TRACERL_AGENT_H

#include <stddef.h>
#include <stdint.h>

#ifndef TRACERL_LEARN
#define TRACERL_LEARN 1 /* 0: act by what has been learned, and leave out all that serves learning */
#endif
#ifndef TRACERL_GREEDY
#define TRACERL_GREEDY 0 /* 1: take the most probable action in place of a sample */
#endif
#ifndef TRACERL_REAL
#define TRACERL_REAL float /* type of the networks; double computes as dtype=float64 does */
#endif

#define AGENT_OBSERVED @OBSERVED@ /* numbers in an observation; the README says in which order */
#define AGENT_COMPONENTS @COMPONENTS@ /* numbers in an action */
typedef @ACTION@ agent_action; /* @ACTION_MEANING@ */

#if TRACERL_LEARN
#define AGENT_REALS @LEARN_REALS@ /* numbers of the state in the type of the networks */
#define AGENT_WORDS @LEARN_WORDS@ /* and those of 64 bits */
#else
#define AGENT_REALS @ACT_REALS@
#define AGENT_WORDS @ACT_WORDS@
#endif
#define AGENT_STATE_BYTES ((size_t)40 + AGENT_REALS * sizeof(TRACERL_REAL) + (size_t)8 * AGENT_WORDS)

#ifdef __cplusplus
extern "C" {
#endif

/* Begin an episode and return the first action, [AGENT_COMPONENTS]. The pointer is the same in every call, and what it
 * points at changes only where another action is returned.
 *
 * NULL, with nothing changed, where a number that arrives is not finite; NULL too once a number of the agent itself is
 * no longer finite, until agent_reset or agent_load. */
const agent_action *agent_start(const double *observation);

/* Learn from one transition and return the next action. The reward is that of the last action, and the observation is
 * what followed it. NULL as above. */
const agent_action *agent_step(double reward, const double *observation);

/* Learn from the last transition of an episode. `terminated` is 0 where a time limit ended the episode, so that the
 * value of the last observation counts. Returns 1, or 0 where the others return NULL: the episode then ends without
 * learning from this transition. */
int agent_end(double reward, const double *observation, int terminated);

/* End an episode without a transition, and learn nothing: after a loss of power, between agent_load and agent_start. */
void agent_reset_episode(void);

/* Write the whole state to a buffer of AGENT_STATE_BYTES or more; return how many were written, 0 if it is too small. */
size_t agent_save(void *buffer, size_t size);

/* Read a state of the same build of an agent with the same settings; return 1, or 0 with nothing changed where the
 * bytes are not such a state. */
int agent_load(const void *buffer, size_t size);

/* Return to the state of the export. The other functions begin with it. */
void agent_reset(void);

#ifdef __cplusplus
}
#endif

#endif
