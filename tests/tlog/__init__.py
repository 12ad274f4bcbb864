"""Tests of the transparency log, against RFC 6962, C2SP and the public vectors of other implementations."""
