"""A model behind FastAPI as its documentation shows it: a pydantic model of the request, one of the answer, one route.

`python fastapi_server.py MODEL CATEGORIES PORT async|def`, the categories as JSON: of each feature its levels, or null.
A model whose features are not an application's takes numbers.
Nothing of ours is imported, and nothing is logged, not even accesses.
"""

import json
import sys
from pathlib import Path

import lightgbm
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, create_model


class Application(BaseModel):
    """What is asked."""

    application_id: str
    region: str
    salary: float
    commission: float
    age: int
    elevel: int
    car: str
    zipcode: str
    hvalue: float
    hyears: int
    loan: float


class Prediction(BaseModel):
    """What is answered."""

    output: float
    model_version: str


def served(model: str, categories: str, how: str) -> FastAPI:
    """Return the server of a LightGBM file; `how` says whether its route is an `async def` or a `def`."""
    app = FastAPI()
    booster = lightgbm.Booster(model_file=model)
    levels: dict[str, list[str] | None] = json.loads(Path(categories).read_text())
    codes = {name: known and {level: code for code, level in enumerate(known)} for name, known in levels.items()}
    ours = codes.keys() <= Application.model_fields.keys()
    request = Application if ours else create_model("Numbers", **dict.fromkeys(codes, (float, ...)))

    def scored(asked: BaseModel) -> Prediction:
        given = asked.model_dump()
        row = [known[given[name]] if known else given[name] for name, known in codes.items()]
        return Prediction(output=booster.predict(np.array([row], dtype=np.float64))[0], model_version="1")

    async def predict(asked: request) -> Prediction:  # pyright: ignore[reportInvalidTypeForm]
        return scored(asked)

    def predict_in_a_thread(asked: request) -> Prediction:  # pyright: ignore[reportInvalidTypeForm]
        return scored(asked)

    app.post("/predict", response_model=Prediction)(predict if how == "async" else predict_in_a_thread)
    return app


if __name__ == "__main__":
    file, known, port, kind = sys.argv[1:]
    uvicorn.run(served(file, known, kind), port=int(port), access_log=False)
