"""The web server: HTTP/1.1 of our own on httptools, run by uvicorn on uvloop.

The protocol is ours because the hot path wants what no server offers (a body that is there already handed over, an
answer in one write, a leaving caller told at once), and because what is refused decides where one request ends and the
next begins: that must be written down and tested here, not inherited. uvicorn starts and replaces processes, speaks
ASGI's lifespan and ends them in order.

Why not granian: with the hot path's own HTTP client the whole process runs on one thread, and granian's threads must
take turns with it (docs/benchmarks.md has the figures).
"""
