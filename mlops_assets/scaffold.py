"""A CSV or Parquet file -> the declaration of a product that learns from it, its values chosen from the data."""

import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import yaml

from mlops_assets.catalogue import TYPE, read_declaration
from mlops_assets.intake.cells import label_text, read
from mlops_assets.intake.columns import infer_columns
from mlops_assets.intake.sources import read_source
from mlops_assets.intake.functions import did_you_mean
from mlops_assets.product import Column, Source
