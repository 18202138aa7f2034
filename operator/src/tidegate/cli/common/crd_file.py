"""Finds the CRD: in the installed package, or in the checkout that this file lies in."""

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from tidegate.errors import TidegateError
from tidegate.resources.crd_schema import Schema

MODEL_DEPLOYMENTS, METRIC_TEMPLATES = "modeldeployments.yaml", "metrictemplates.yaml"
CHECKOUT = Path(__file__).parents[5] / "crds"


def spec_schema() -> Schema:
    """The schema of a ModelDeployment's spec, as this version of Tidegate has it."""
    schema: Schema = schema_of_all()["properties"]["spec"]
    return schema


def schema_of_all(file: str = MODEL_DEPLOYMENTS) -> Schema:
    """The schema of a whole ModelDeployment, or of what else a CRD is of."""
    packaged, there = resources.files("tidegate.cli").joinpath(file), CHECKOUT / file
    if packaged.is_file():
        return _schema_of(packaged.read_text())
    if there.is_file():
        return _schema_of(there.read_text())
    raise TidegateError(f"the CRD is neither in the package as {file} nor at {there}; install Tidegate anew")


def _schema_of(text: str) -> Schema:
    crd: Any = yaml.safe_load(text)
    schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema
