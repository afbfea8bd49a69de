"""Writes the models that are brought to the platform, as those who trained them would: an .onnx file each, and a JSON file with inputs and the
answers of the library that trained it.

    pip install pandas scikit-learn skl2onnx lightgbm onnxmltools torch onnx
    python3 models.py .
"""

import json
import os
import sys

import numpy as np


def write(folder, name, data, inputs, answers):
    with open(os.path.join(folder, name + ".onnx"), "wb") as file:
        file.write(data)
    with open(os.path.join(folder, name + ".json"), "w") as file:
        json.dump({"inputs": inputs, "answers": answers}, file, indent=None, separators=(",", ":"))
    print(name, len(data), "bytes")


def external(folder, name, data):
    """The same model with its weights in a file of their own, in a zip."""
    import tempfile
    import zipfile

    import onnx

    with tempfile.TemporaryDirectory() as scratch:
        onnx.save_model(
            onnx.load_model_from_string(data), os.path.join(scratch, "network.onnx"), save_as_external_data=True, location="weights.bin", size_threshold=0)
        with zipfile.ZipFile(os.path.join(folder, name + ".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            for file in ("network.onnx", "weights.bin"):
                archive.write(os.path.join(scratch, file), file)


def pipeline(folder):
    """scikit-learn: numbers scaled, a category encoded, and logistic regression on both."""
    import pandas
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    random = np.random.default_rng(0)
    table = pandas.DataFrame({"length": random.uniform(0, 9, 200), "width": random.uniform(0, 5, 200), "colour": random.choice(["red", "green", "blue"], 200)})
    kind = np.where(table.length + (table.colour == "red") * 2 > 5, "long", "short")
    steps = ColumnTransformer([("numbers", StandardScaler(), ["length", "width"]), ("words", OneHotEncoder(handle_unknown="ignore"), ["colour"])])
    model = Pipeline([("columns", steps), ("model", LogisticRegression())]).fit(table, kind)
    types = [(name, StringTensorType([None, 1]) if name == "colour" else FloatTensorType([None, 1])) for name in table.columns]
    some = table.head(5).astype({"length": np.float32, "width": np.float32})
    answers = [
        {"output_label": label, "output_probability": dict(zip(model.classes_, map(float, shares)))}
        for label, shares in zip(model.predict(some), model.predict_proba(some))
    ]
    inputs = [{"length": [float(row.length)], "width": [float(row.width)], "colour": [row.colour]} for row in some.itertuples()]
    write(folder, "sklearn-pipeline", to_onnx(model, initial_types=types, target_opset=17).SerializeToString(), inputs, answers)


def trees(folder):
    """LightGBM: a classifier of three classes."""
    import lightgbm
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    random = np.random.default_rng(1)
    x = random.normal(size=(300, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int) + (x[:, 1] + x[:, 2] > 0)
    model = lightgbm.LGBMClassifier(n_estimators=8, num_leaves=7, verbose=-1, random_state=0).fit(x, y)
    exported = onnxmltools.convert_lightgbm(model, initial_types=[("input", FloatTensorType([None, 4]))], target_opset=15)
    answers = [
        {"label": int(label), "probabilities": {str(i): float(share) for i, share in enumerate(shares)}}
        for label, shares in zip(model.predict(x[:6]), model.predict_proba(x[:6]))
    ]
    write(folder, "lightgbm", exported.SerializeToString(), [{"input": row.tolist()} for row in x[:6]], answers)


def network(folder):
    """torch: a small convolutional network."""
    import io

    import torch
    from torch import nn

    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 12, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4), nn.Softmax(-1),
    ).eval()
    x = torch.round(torch.randn(3, 1, 8, 8), decimals=3)
    data = io.BytesIO()
    torch.onnx.export(model, (x,), data, input_names=["image"], output_names=["scores"], dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}}, opset_version=17, dynamo=False)
    with torch.no_grad():
        answers = model(x)
    external(folder, "torch-cnn-external", data.getvalue())
    write(folder, "torch-cnn", data.getvalue(), [{"image": one} for one in np.round(x.numpy().astype(float), 3).tolist()], [{"scores": one} for one in answers.tolist()])


if __name__ == "__main__":
    for make in (pipeline, trees, network):
        make(sys.argv[1])
