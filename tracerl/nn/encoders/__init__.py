"""Input encoders: from an observation to the features that enter the network, one encoder per file."""

from tracerl.nn.encoders.base import Encoder as Encoder
from tracerl.nn.encoders.base import EncoderSettings as EncoderSettings
from tracerl.nn.encoders.base import name_of as name_of
from tracerl.nn.encoders.contrast import Contrast as Contrast
from tracerl.nn.encoders.contrast import ContrastEncoder as ContrastEncoder
from tracerl.nn.encoders.contrast import decays_of as decays_of
from tracerl.nn.encoders.contrast import scales_of as scales_of
from tracerl.nn.encoders.latency import Latency as Latency
from tracerl.nn.encoders.latency import LatencyEncoder as LatencyEncoder
from tracerl.nn.encoders.on_off import OnOff as OnOff
from tracerl.nn.encoders.on_off import OnOffEncoder as OnOffEncoder
from tracerl.nn.encoders.population import Population as Population
from tracerl.nn.encoders.population import PopulationEncoder as PopulationEncoder
from tracerl.nn.encoders.rate import Rate as Rate
from tracerl.nn.encoders.rate import RateEncoder as RateEncoder
from tracerl.nn.encoders.raw import Raw as Raw
from tracerl.nn.encoders.raw import RawEncoder as RawEncoder
