"""The processes that serve a handler: zygote, holder, worker.

Run by the project's own Python, which may lie in another virtual environment than Hotfire's. So it uses
the standard library, AWS's inference toolkit, torch and numpy, in the syntax of Python 3.9, and nothing of
the package `hotfire`.
"""
