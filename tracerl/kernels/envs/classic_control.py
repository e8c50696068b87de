"""The dynamics of Gymnasium's classic control at its default settings, in its order of operations and its dtypes.

Every function takes the floats of an env's state, float64, [4], in the order of Gymnasium's ``state``. Where a
line looks clumsy, it rounds as the line in ``gymnasium.envs.classic_control`` rounds.
"""

import math
from typing import Any

import numpy as np

from tracerl.kernels.jit import exact


@exact
def observe_state(state: Any, observation: Any) -> None:
    """Write the state itself."""
    for i in range(len(observation)):
        observation[i] = np.float32(state[i])


@exact
def square(x: float) -> float:
    """``x ** 2`` of a numpy scalar, float64: the C library's pow, one in a thousand another number than ``x * x``."""
    # A constant exponent would be compiled to x * x.
    return x ** (2.0 + 0.0 * x)  # type: ignore[no-any-return]


@exact
def clip(x: float, bound: float) -> float:
    """Return x within [-bound, bound]."""
    return min(max(x, -bound), bound)


# CartPole: cart and pole of Barto, Sutton & Anderson 1983, equations (23) and (24) of Florian 2007.
_GRAVITY, _POLE_MASS, _HALF_LENGTH, _FORCE, _CARTPOLE_SECONDS = 9.8, 0.1, 0.5, 10.0, 0.02
_TOTAL_MASS = _POLE_MASS + 1.0
_POLE_MOMENT = _POLE_MASS * _HALF_LENGTH
_CART_BOUND, _ANGLE_BOUND = 2.4, 12 * 2 * math.pi / 360


@exact
def advance_cartpole(state: Any, action: float) -> bool:
    """Push the cart left (0) or right (1) for 0.02 s, by Euler's method; return whether it left its bounds."""
    x, x_speed, angle, angle_speed = state[0], state[1], state[2], state[3]
    force = _FORCE if action == 1 else -_FORCE
    cos, sin = math.cos(angle), math.sin(angle)
    push = (force + _POLE_MOMENT * (angle_speed * angle_speed) * sin) / _TOTAL_MASS
    inertia = _HALF_LENGTH * (4.0 / 3.0 - _POLE_MASS * (cos * cos) / _TOTAL_MASS)
    angle_acceleration = (_GRAVITY * sin - cos * push) / inertia
    x_acceleration = push - _POLE_MOMENT * angle_acceleration * cos / _TOTAL_MASS
    state[0] = x + _CARTPOLE_SECONDS * x_speed
    state[1] = x_speed + _CARTPOLE_SECONDS * x_acceleration
    state[2] = angle + _CARTPOLE_SECONDS * angle_speed
    state[3] = angle_speed + _CARTPOLE_SECONDS * angle_acceleration
    return bool(abs(state[0]) > _CART_BOUND or abs(state[2]) > _ANGLE_BOUND)


# Acrobot: Sutton & Barto 1998, section 11.3: links of 1 kg, 1 m and 1 kg m^2, their centres of mass at 0.5 m.
_ACROBOT_SECONDS = 0.2
_SPEED_BOUND_1, _SPEED_BOUND_2 = 4 * math.pi, 9 * math.pi


@exact
def advance_acrobot(state: Any, action: float) -> bool:
    """Turn the second joint by -1, 0 or 1 N m for 0.2 s, by Runge and Kutta's method; return whether the tip is up."""
    angle_1, angle_2, speed_1, speed_2 = runge_kutta(state[0], state[1], state[2], state[3], action - 1.0)
    state[0], state[1] = wrap(angle_1), wrap(angle_2)
    state[2], state[3] = clip(speed_1, _SPEED_BOUND_1), clip(speed_2, _SPEED_BOUND_2)
    return -math.cos(state[0]) - math.cos(state[1] + state[0]) > 1.0


@exact
def runge_kutta(a: float, b: float, u: float, v: float, torque: float) -> tuple[float, float, float, float]:
    """Return angles (a, b) and speeds (u, v) one classical fourth-order step later.

    k_1 = f(y), k_2 = f(y + h/2 k_1), k_3 = f(y + h/2 k_2), k_4 = f(y + h k_3), y' = y + h/6 (k_1 + 2 k_2 + 2 k_3 + k_4)
    Here u and v with a stage's number are the slopes of the angles there, p and q those of the speeds.
    """
    h, half = _ACROBOT_SECONDS, _ACROBOT_SECONDS / 2.0
    u_1, v_1 = u, v
    p_1, q_1 = accelerations(a, b, u_1, v_1, torque)
    u_2, v_2 = u + half * p_1, v + half * q_1
    p_2, q_2 = accelerations(a + half * u_1, b + half * v_1, u_2, v_2, torque)
    u_3, v_3 = u + half * p_2, v + half * q_2
    p_3, q_3 = accelerations(a + half * u_2, b + half * v_2, u_3, v_3, torque)
    u_4, v_4 = u + h * p_3, v + h * q_3
    p_4, q_4 = accelerations(a + h * u_3, b + h * v_3, u_4, v_4, torque)
    sixth = h / 6.0
    return (
        a + sixth * (u_1 + 2 * u_2 + 2 * u_3 + u_4),
        b + sixth * (v_1 + 2 * v_2 + 2 * v_3 + v_4),
        u + sixth * (p_1 + 2 * p_2 + 2 * p_3 + p_4),
        v + sixth * (q_1 + 2 * q_2 + 2 * q_3 + q_4),
    )


@exact
def accelerations(angle_1: float, angle_2: float, speed_1: float, speed_2: float, torque: float) -> tuple[float, float]:
    """Return both joints' accelerations, rad/s^2: Sutton & Barto 1998, figure 11.5, with d and phi named as there."""
    cos, sin = math.cos(angle_2), math.sin(angle_2)
    d_1 = 0.25 + (1.25 + cos) + 1.0 + 1.0
    d_2 = 0.25 + 0.5 * cos + 1.0
    phi_2 = 0.5 * _GRAVITY * math.cos(angle_1 + angle_2 - math.pi / 2.0)
    centrifugal, coriolis = -0.5 * square(speed_2) * sin, speed_2 * speed_1 * sin
    phi_1 = centrifugal - coriolis + 1.5 * _GRAVITY * math.cos(angle_1 - math.pi / 2) + phi_2
    moment = torque + d_2 / d_1 * phi_1 - 0.5 * square(speed_1) * sin - phi_2
    acceleration_2 = moment / (1.25 - square(d_2) / d_1)
    return -(d_2 * acceleration_2 + phi_1) / d_1, acceleration_2


@exact
def wrap(angle: float) -> float:
    """Return an angle within [-pi, pi], in Acrobot's way: turn by turn."""
    while angle > math.pi:
        angle -= 2 * math.pi
    while angle < -math.pi:
        angle += 2 * math.pi
    return angle


@exact
def observe_acrobot(state: Any, observation: Any) -> None:
    """Write the cosine and sine of both angles and the speeds."""
    for i in range(2):
        observation[2 * i], observation[2 * i + 1] = np.float32(math.cos(state[i])), np.float32(math.sin(state[i]))
        observation[4 + i] = np.float32(state[2 + i])


@exact
def observe_first_acrobot(state: Any, observation: Any) -> None:
    """As ``observe_acrobot``, right after a reset, where Gymnasium's state is of float32 and so are its functions."""
    for i in range(2):
        observation[2 * i], observation[2 * i + 1] = narrow_cos_and_sin(np.float32(state[i]))
        observation[4 + i] = np.float32(state[2 + i])


_COS_TERMS = tuple(float.fromhex(term) for term in ("-0x1.6c06dcp-10", "0x1.55553cp-05", "-0x1p-01", "0x1p+00"))
_COS_FIRST = np.float32(float.fromhex("0x1.98e616p-16"))
_SIN_TERMS = tuple(float.fromhex(term) for term in ("-0x1.a06bbap-13", "0x1.11119ap-07", "-0x1.555556p-03"))
_SIN_FIRST = np.float32(float.fromhex("0x1.7d3bbcp-19"))


@exact
def narrow_cos_and_sin(x: Any) -> tuple[Any, Any]:
    """Return cosine and sine of |x| < pi/4 as numpy rounds them in float32: its polynomials in x^2, by Horner."""
    x_square = x * x
    cos, sin = _COS_FIRST, _SIN_FIRST
    for term in _COS_TERMS:
        cos = fused(cos, x_square, term)
    for term in _SIN_TERMS:
        sin = fused(sin, x_square, term)
    return cos, fused(sin * x_square, x, np.float64(x))


@exact
def fused(a: Any, b: Any, c: float) -> Any:
    """Return a b + c of float32 numbers, rounded once: the product is exact in float64."""
    return np.float32(np.float64(a) * np.float64(b) + c)


# MountainCar: Moore 1990; Sutton & Barto 2018, example 10.1.
_FARTHEST_LEFT, _FARTHEST_RIGHT, _GOAL, _CAR_SPEED_BOUND = -1.2, 0.6, 0.5, 0.07


@exact
def advance_mountain_car(state: Any, action: float) -> bool:
    """Drive left (0), not at all (1) or right (2) for one step; return whether the car is at its goal."""
    speed = clip(state[1] + ((action - 1) * 0.001 + math.cos(3 * state[0]) * -0.0025), _CAR_SPEED_BOUND)
    position = min(max(state[0] + speed, _FARTHEST_LEFT), _FARTHEST_RIGHT)
    if position == _FARTHEST_LEFT and speed < 0:
        speed = 0.0
    state[0], state[1] = position, speed
    return position >= _GOAL and speed >= 0


# MountainCarContinuous: the same valley, its goal 0.05 nearer, and an engine of any force within [-1, 1].
_ENGINE, _SLOPE = 0.0015, 0.0025
_NARROW_ENGINE, _NARROW_SPEED_BOUND = np.float32(_ENGINE), np.float32(_CAR_SPEED_BOUND)
_NARROW_LEFT, _NARROW_RIGHT, _NARROW_GOAL = np.float32(_FARTHEST_LEFT), np.float32(_FARTHEST_RIGHT), np.float32(0.45)


@exact
def advance_continuous_mountain_car(state: Any, action: float, first: bool) -> tuple[float, bool]:
    """Drive with a force, rounded to the space's float32, for one step; return the reward and whether it is there.

    Gymnasium's state is of float64 after a reset, which ``first`` says, and of float32 from then on. No bound can be
    met in the first step.
    """
    force = np.float32(action)
    speed, position = np.float32(state[1]), np.float32(state[0])
    push = engine_and_slope(force, 3 * state[0] if first else np.float64(np.float32(3.0) * position))
    if first:
        state[1] += push
        speed, position = np.float32(state[1]), np.float32(state[0] + state[1])
    else:
        speed = min(max(speed + np.float32(push), -_NARROW_SPEED_BOUND), _NARROW_SPEED_BOUND)
        position = min(max(position + speed, _NARROW_LEFT), _NARROW_RIGHT)
        if position == _NARROW_LEFT and speed < 0:
            speed = np.float32(0.0)
    state[0], state[1] = position, speed
    there = bool(position >= _NARROW_GOAL and speed >= 0)
    return (100.0 if there else 0.0) - square(np.float64(force)) * 0.1, there


@exact
def engine_and_slope(force: Any, angle: float) -> float:
    """Return what a step adds to the speed, in float32 but where a bound, a Python number, replaces the force."""
    slope = _SLOPE * math.cos(angle)
    if abs(force) > 1:
        return (_ENGINE if force > 0 else -_ENGINE) - slope
    return np.float64(force * _NARROW_ENGINE - np.float32(slope))


# Pendulum: a rod of 1 kg and 1 m under a gravity of 10 m/s^2.
_PENDULUM_SECONDS, _PENDULUM_SPEED_BOUND = 0.05, 8.0


@exact
def advance_pendulum(state: Any, action: float) -> float:
    """Apply a torque within [-2, 2] N m, rounded to the action space's float32, for 0.05 s; return the reward."""
    angle, speed = state[0], state[1]
    torque = np.float32(clip(action, 2.0))
    upright = (angle + math.pi) % (2 * math.pi) - math.pi
    # numpy keeps what only torque enters in float32.
    cost = square(upright) + 0.1 * square(speed) + np.float32(0.001) * narrow_square(torque)
    speed += (15.0 * math.sin(angle) + np.float32(3.0) * torque) * _PENDULUM_SECONDS
    state[1] = clip(speed, _PENDULUM_SPEED_BOUND)
    state[0] = angle + state[1] * _PENDULUM_SECONDS
    return -float(cost)


@exact
def narrow_square(x: Any) -> Any:
    """``square`` in float32."""
    return x ** (np.float32(2.0) + np.float32(0.0) * x)


@exact
def observe_pendulum(state: Any, observation: Any) -> None:
    """Write the cosine and sine of the angle and the speed."""
    observation[0], observation[1] = np.float32(math.cos(state[0])), np.float32(math.sin(state[0]))
    observation[2] = np.float32(state[1])
