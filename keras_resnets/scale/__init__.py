"""Millions of pictures to Parquet shards, on one machine or on many."""

from .predicting import check as check
from .predicting import predict_files as predict_files
