"""Tests of ikescope.crypto: published vectors, captured sessions, refusals."""
