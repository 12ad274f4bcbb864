"""Compliance reports: a catalogue of controls, what the sealed rows of a period say of each, and the pages made of it.

Knows no lake and no clock: evidence comes in as Arrow tables, and the same facts give the same bytes.
"""
