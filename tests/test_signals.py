"""Signals are recorded, handled at the end of a step, and passed on."""

import os
import signal
import threading

import pytest

from tracerl.runs.signals import DeferredInterrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2])
def test_signal_is_recorded_and_handlers_are_restored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with DeferredInterrupt() as interrupted:
        assert not interrupted() and interrupted.signal is None
        os.kill(os.getpid(), number)
        assert interrupted() and interrupted.signal == number
    assert signal.getsignal(number) is before


def test_second_interrupt_ends_the_run_immediately() -> None:
    with DeferredInterrupt() as interrupted, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupted()
        os.kill(os.getpid(), signal.SIGINT)


def test_handler_of_a_launcher_gets_the_signal_after_everything_is_written() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: seen.append(number))
    try:
        with DeferredInterrupt() as interrupted:
            os.kill(os.getpid(), signal.SIGUSR2)
        assert seen == []
        interrupted.forward()
        assert seen == [signal.SIGUSR2]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_default_python_handlers_are_not_called() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell have no such handler
    try:
        with DeferredInterrupt() as interrupted:
            os.kill(os.getpid(), signal.SIGINT)
        assert interrupted.signal == signal.SIGINT and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        interrupted.forward()  # would raise KeyboardInterrupt
    finally:
        signal.signal(signal.SIGINT, before)


def test_within_another_context_the_outer_one_receives_the_signal() -> None:
    with DeferredInterrupt() as outer:
        with DeferredInterrupt() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
        assert not outer() and not inner.ends_command()
        inner.forward()
        assert outer.signal == signal.SIGTERM
        with DeferredInterrupt() as inner:
            assert inner.signal == signal.SIGTERM  # ends what begins after the signal
            with pytest.raises(KeyboardInterrupt):  # also of SIGTERM, because the outer context has the exit code
                inner.end()
        inner.forward()
        assert outer.signal == signal.SIGTERM
    assert outer.ends_command()
    with pytest.raises(SystemExit, match="143"):
        outer.end()


@pytest.mark.parametrize(("number", "received"), [(signal.SIGTERM, True), (signal.SIGUSR2, False)])
def test_launcher_is_not_asked_to_start_a_run_that_ended_again(number: signal.Signals, received: bool) -> None:
    seen: list[int] = []
    before = signal.signal(number, lambda number, frame: seen.append(number))
    try:
        with DeferredInterrupt() as interrupted:
            os.kill(os.getpid(), number)
        assert not interrupted.ends_command()
        interrupted.forward_after_end()
        assert bool(seen) == received
    finally:
        signal.signal(number, before)


def test_outside_the_main_thread_no_handler_is_installed() -> None:
    before, found = signal.getsignal(signal.SIGTERM), []

    def elsewhere() -> None:
        with DeferredInterrupt() as interrupted:
            found.append((signal.getsignal(signal.SIGTERM) is before, interrupted()))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [(True, False)]
