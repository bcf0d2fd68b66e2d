"""The line over HTTP: the operator page, the API, and the Open Inference Protocol.

application.py      routes, and who may use each
access.py           bearer tokens by role, requests from other sites
requests.py         bodies and parameters, or a 4xx that says what is wrong
answers.py          JSON, errors, and the headers of every answer
results.py          score, trigger, results, images, overlays, reviews
artifacts.py        upload, promote, roll back, the audit trail
event_stream.py     server-sent events
inference/          the Open Inference Protocol, version 2
pictures.py         overlays, made on demand
page.py, static/    the operator page
server.py           uvicorn in a thread
"""

from edge_ad_line.web.application import create_app

__all__ = ["create_app"]
