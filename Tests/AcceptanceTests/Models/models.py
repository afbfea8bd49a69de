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


def perceptron(folder):
    """torch: a perceptron that tells three kinds of rows of four numbers apart, by how far they are from the middle."""
    import io

    import torch
    from torch import nn

    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 3))
    x = torch.rand(2000, 4) * 2 - 1
    kind = (x.norm(dim=1) > 0.9).long() + (x.norm(dim=1) > 1.3).long()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(400):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), kind).backward()
        optimizer.step()
    x = torch.round(x[:4], decimals=3)
    data = io.BytesIO()
    torch.onnx.export(model.eval(), (x,), data, input_names=["row"], output_names=["logits"], dynamic_axes={"row": {0: "batch"}, "logits": {0: "batch"}}, opset_version=17, dynamo=False)
    with torch.no_grad():
        answers = model(x)
    write(folder, "torch-mlp", data.getvalue(), [{"row": one} for one in np.round(x.numpy().astype(float), 3).tolist()], [{"logits": one} for one in answers.tolist()])


if __name__ == "__main__":
    for make in (pipeline, trees, network, perceptron):
        make(sys.argv[1])
