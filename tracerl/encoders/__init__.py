"""Input encoders: from an observation to the code that enters the network, one encoder per file."""

from tracerl.encoders.base import Encoder, EncoderSettings
from tracerl.encoders.contrast import Contrast, ContrastEncoder, decays_of
from tracerl.encoders.latency import Latency, LatencyEncoder
from tracerl.encoders.on_off import OnOff, OnOffEncoder
from tracerl.encoders.population import Population, PopulationEncoder
from tracerl.encoders.rate import Rate, RateEncoder
from tracerl.encoders.raw import Raw, RawEncoder

__all__ = [
    "Contrast",
    "ContrastEncoder",
    "Encoder",
    "EncoderSettings",
    "Latency",
    "LatencyEncoder",
    "OnOff",
    "OnOffEncoder",
    "Population",
    "PopulationEncoder",
    "Rate",
    "RateEncoder",
    "Raw",
    "RawEncoder",
    "decays_of",
]
