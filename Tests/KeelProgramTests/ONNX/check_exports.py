"""Checks exported models with the ONNX project's checker and with ONNX Runtime: `check_exports.py FOLDER`.

The folder has one of `<network>/<opset>/` for each, laid out as the ONNX project's test directories. A model passes if the checker, with shape
inference, finds nothing, and each output differs by at most 1e-4 of its largest number. One JSON line says how many did.

Of networks that multiply bytes (`int8...`) that is 1e-2: a number halfway between two bytes may become either, and the layers after it carry on what is
a 255th of what it may be; and recurrent layers round their state here, which no operator does. Their weights have 7 bits, so that no kernel of ONNX
Runtime saturates.
"""
import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime
from onnx import numpy_helper

TOLERANCE, TOLERANCE_OF_BYTES = 1e-4, 1e-2


def tensor(path):
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def check(folder):
    """The largest difference from our answers, relative to the largest number."""
    path = folder / "model.onnx"
    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    sets = sorted(folder.glob("test_data_set_*"))
    assert len(sets) == 20, f"{len(sets)} data sets"
    worst = 0.0
    for data in sets:
        inputs = {port.name: tensor(data / f"input_{i}.pb") for i, port in enumerate(session.get_inputs())}
        for i, found in enumerate(session.run(None, inputs)):
            expected = tensor(data / f"output_{i}.pb")
            assert found.shape == expected.shape and found.dtype == expected.dtype, f"{found.dtype}{found.shape}, expected {expected.dtype}{expected.shape}"
            difference = numpy.abs(found.astype(numpy.float64) - expected).max()
            assert not numpy.isnan(difference), "a number that isn't one"
            worst = max(worst, float(difference / max(numpy.abs(expected).max(), 1e-3)))
    tolerance = TOLERANCE_OF_BYTES if folder.parent.name.startswith("int8") else TOLERANCE
    assert worst <= tolerance, f"differs by {worst:.1e}"
    return worst


def main():
    folders = sorted(path.parent for path in pathlib.Path(sys.argv[1]).glob("*/*/model.onnx"))
    passed, failed, worst, worst_of_bytes = 0, 0, 0.0, 0.0
    for folder in folders:
        try:
            difference = check(folder)
            if folder.parent.name.startswith("int8"):
                worst_of_bytes = max(worst_of_bytes, difference)
            else:
                worst = max(worst, difference)
            passed += 1
        except Exception as error:  # whatever the checker or the runtime says
            failed += 1
            print(f"{folder.parent.name} at opset {folder.name}: {error}")
    networks = len({folder.parent for folder in folders})
    print(json.dumps({"networks": networks, "passed": passed, "failed": failed, "largest_difference": worst, "largest_difference_of_bytes": worst_of_bytes, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}))
    sys.exit(failed > 0 or passed == 0)


if __name__ == "__main__":
    main()
