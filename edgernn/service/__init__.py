"""What runs on a Linux device as a service, whatever happens: `python -m edgernn.service run`.

`settings.py` says what can be chosen, `places.py` where everything lies, `loop.py` what happens
from the first sample to the last, `control.py` what can be asked meanwhile; see docs/service.md.
"""
