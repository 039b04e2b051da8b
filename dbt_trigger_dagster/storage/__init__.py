"""What is kept and where: the tables' columns, and the stores that hold rows and files.

Knows no Dagster and no HTTP.
"""
