/* The board: see board.c. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

void print(const char *text);
void print_number(uint32_t number);
void stop(int failed);

/* Ticks of the processor's clock, modulo 2^24. */
void start_clock(void);
uint32_t ticks_now(void);
uint32_t ticks_since(uint32_t before);

#endif
