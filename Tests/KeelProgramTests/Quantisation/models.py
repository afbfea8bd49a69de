"""Writes the models below Models: the small ResNet of ../ONNX/Networks as ONNX Runtime's own quantiser makes it, each with inputs and ONNX Runtime's answer.

    pip install onnx onnxruntime safetensors
    python3 models.py Models
"""
import pathlib
import sys

import numpy
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from safetensors.numpy import save_file


class Pictures(CalibrationDataReader):
    def __init__(self, random):
        self.rest = iter([{"input": random.standard_normal((2, 3, 32, 32), dtype=numpy.float32)} for _ in range(8)])

    def get_next(self):
        return next(self.rest, None)


def main(folder):
    source = pathlib.Path(__file__).parent.parent / "ONNX/Networks/resnet/model.onnx"
    random = numpy.random.default_rng(0)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # the operators as they stand
    # Activations without and with a sign, and weights of 7 bits; weights of 8.
    for name, kind, bits in (("u8s7", QuantType.QUInt8, 7), ("s8s7", QuantType.QInt8, 7), ("u8s8", QuantType.QUInt8, 8)):
        path = str(folder / f"{name}.onnx")
        quantize_static(
            source, path, Pictures(random), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=bits == 7, activation_type=kind, weight_type=QuantType.QInt8)
        x = random.standard_normal((3, 3, 32, 32), dtype=numpy.float32)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        save_file({"x": x, "y": session.run(None, {"input": x})[0]}, folder / f"{name}.safetensors")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
