"""Networks of tracerl for other programs and from them: NIR both ways, ``torch.export`` and ONNX outwards.

``blueprint.py`` describes a network without saying who computes it; ``draw.py`` makes that description of a network
of tracerl, the others turn it into a file or read it from one.
"""
