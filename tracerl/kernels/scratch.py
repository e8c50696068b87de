"""Rows of the scratch that a kernel is handed, each as wide as the widest layer or code; see ``memory.row_of``."""

(
    CURRENT,
    LEAK,
    DECAY,
    COMPLEMENT,
    THRESHOLD,
    GAIN,
    KEEP,
    ADD,
    EXCESS,
    BELOW,
    FURTHER_BELOW,
    CODE,
    LEAKS,
    OUTPUT,
    SIGNAL,
    SCRATCH_ROWS,
) = range(16)
