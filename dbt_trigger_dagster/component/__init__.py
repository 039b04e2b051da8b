"""Jobs in YAML: for dg, and for the file that ``DBT_TRIGGER_JOBS`` names.

Knows no HTTP; builds what the rooms below offer.
"""
