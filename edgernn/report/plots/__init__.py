"""The sections of a report: one module each, with a function `section(material)`.

It returns None where the documents have nothing for it. `edgernn/report/sections.py` lists them.
"""
