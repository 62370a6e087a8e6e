"""A graph simplified once, while it is exported, so that it loads fast wherever it acts."""

import tempfile
from pathlib import Path

from imitate.errors import import_extra


def simplified(model: bytes) -> bytes:
    """The ONNX file `model` after onnxruntime's basic optimisations: standard operations, the same results.

    Folding constants in an unrolled sampling loop takes seconds, and would be done anew at every start.
    """
    ort = import_extra("onnxruntime", "export")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "simplified.onnx"
        options.optimized_model_filepath = str(file)
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return file.read_bytes()
