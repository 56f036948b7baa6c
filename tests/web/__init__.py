"""Tests of the page that a running router serves."""
