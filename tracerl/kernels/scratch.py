"""Rows of the scratch that a kernel is handed, each as wide as the widest layer or code; see ``memory.row_of``."""

(
    CURRENT,
    LEAK,
    DECAY,
    COMPLEMENT,
    THRESHOLD,
    KEEP,
    ADD,
    BELOW,
    FURTHER_BELOW,
    CODE,
    LEAKS,
    OUTPUT,
    SIGNAL,
    SCRATCH_ROWS,
) = range(14)
