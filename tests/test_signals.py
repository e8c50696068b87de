"""Signals are noted, taken at the end of a step, and handed on."""

import os
import signal
import threading

import pytest

from tracerl.runs.signals import DeferredInterrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2])
def test_a_signal_is_noted_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with DeferredInterrupt() as interrupted:
        assert not interrupted() and interrupted.signal is None
        os.kill(os.getpid(), number)
        assert interrupted() and interrupted.signal == number
    assert signal.getsignal(number) is before


def test_a_second_interrupt_does_not_wait() -> None:
    with DeferredInterrupt() as interrupted, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupted()
        os.kill(os.getpid(), signal.SIGINT)


def test_a_launchers_own_handler_has_the_signal_once_all_is_written() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: seen.append(number))
    try:
        with DeferredInterrupt() as interrupted:
            os.kill(os.getpid(), signal.SIGUSR2)
        assert seen == []
        interrupted.hand_on()
        assert seen == [signal.SIGUSR2]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_pythons_own_handlers_are_not_called() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs lack
    try:
        with DeferredInterrupt() as interrupted:
            os.kill(os.getpid(), signal.SIGINT)
        assert interrupted.signal == signal.SIGINT and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        interrupted.hand_on()  # would raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_the_main_thread_nothing_is_taken_over() -> None:
    before, found = signal.getsignal(signal.SIGTERM), []

    def elsewhere() -> None:
        with DeferredInterrupt() as interrupted:
            found.append((signal.getsignal(signal.SIGTERM) is before, interrupted()))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [(True, False)]
