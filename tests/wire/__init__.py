"""Tests of ikescope.wire."""
