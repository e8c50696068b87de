"""Input encoders: from an observation to the features that enter the network, one encoder per file."""

from tracerl.nn.encoders.base import Encoder, EncoderSettings
from tracerl.nn.encoders.contrast import Contrast, ContrastEncoder, decays_of
from tracerl.nn.encoders.latency import Latency, LatencyEncoder
from tracerl.nn.encoders.on_off import OnOff, OnOffEncoder
from tracerl.nn.encoders.population import Population, PopulationEncoder
from tracerl.nn.encoders.rate import Rate, RateEncoder
from tracerl.nn.encoders.raw import Raw, RawEncoder

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
