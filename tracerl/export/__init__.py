"""Export networks to NIR, ``torch.export`` and ONNX, and import networks from NIR.

``description.py`` describes a network independently of a format. The other modules write the description to a file or
read it from one.
"""
