"""Tests of the fuzz targets."""
