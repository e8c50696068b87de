"""Export networks to NIR, ``torch.export`` and ONNX, and import networks from NIR.

``blueprint.py`` describes a network independently of a format. ``draw.py`` returns the description of a network of
tracerl. The other modules write the description to a file or read it from one.
"""
