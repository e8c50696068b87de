/* @ABOUT@
 *
 * Written by tracerl @VERSION@: the same text for every agent, configured by weights.h. Each part has the name of the
 * file of tracerl/kernels that it mirrors, and each function the name of its kernel or of its equation in
 * tracerl/nn/functional. All state is static: a program has one agent. */
#include "agent.h"

#include <math.h>

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "compile agent.c without -ffast-math and -ffinite-math-only: it checks for numbers that are not finite"
#endif

typedef TRACERL_REAL real;
#define R(number) ((real)(number))
