"""What is left of the promises when things break: measured, not claimed.

Run all of it with ``python -m faults``, or parts by name: ``table``, ``kills``, ``triggers``,
``pairs``, ``pauses``, ``drips``, ``bodies``, ``echoes``, ``peers``.
"""
