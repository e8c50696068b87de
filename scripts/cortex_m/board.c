/* What a program on a Cortex-M4 needs to begin, to print and to stop, without an operating system. */
#include "board.h"

#include <stdint.h>

extern uint32_t data_start[], data_end[], data_source[], bss_start[], bss_end[], stack_top[];
int main(void);

#define FPU_ACCESS (*(volatile uint32_t *)0xE000ED88u)
#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)
#define LARGEST_TICK 0xFFFFFFu

enum { SYS_WRITE0 = 0x04, SYS_EXIT = 0x18, STOPPED_BY_PROGRAM = 0x20026, STOPPED_BY_ERROR = 0x20023 };

/* Ask the host, which is the emulator or a debugger (Arm's semihosting). */
static void ask_host(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

void print(const char *text) { ask_host(SYS_WRITE0, text); }

void print_number(uint32_t number)
{
    char text[11], *first = text + 10;
    *first = 0;
    do
        *--first = (char)('0' + number % 10);
    while (number /= 10);
    print(first);
}

void stop(int failed)
{
    ask_host(SYS_EXIT, (const void *)(uintptr_t)(failed ? STOPPED_BY_ERROR : STOPPED_BY_PROGRAM));
    for (;;)
        ;
}

void start_clock(void)
{
    SYSTICK_RELOAD = LARGEST_TICK;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = 5; /* on, with the clock of the processor */
}

uint32_t ticks_since(uint32_t before) { return (before - SYSTICK_VALUE) & LARGEST_TICK; }

uint32_t ticks_now(void) { return SYSTICK_VALUE; }

void begin(void);

void begin(void)
{
    FPU_ACCESS |= 0xFu << 20;
    __asm__ volatile("dsb\n isb");
    for (uint32_t *to = data_start, *from = data_source; to < data_end;)
        *to++ = *from++;
    for (uint32_t *to = bss_start; to < bss_end;)
        *to++ = 0;
    stop(main());
}

static void fail(void)
{
    print("fault\n");
    stop(1);
}

/* The first entries of the table of exceptions: the stack, the start, and what stops on a fault. */
__attribute__((section(".vectors"), used)) static const struct {
    const void *stack;
    void (*handlers[15])(void);
} vectors = {stack_top, {begin, fail, fail, fail, fail, fail, 0, 0, 0, 0, fail, fail, 0, fail, fail}};
