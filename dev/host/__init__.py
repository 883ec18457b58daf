"""A local Functions host: runs the real function app without Microsoft's host.

For development and tests only. It reads the app's registered functions, as Microsoft's host does
through its Python worker, and answers HTTP triggers and fires timers in this one process. What it
imitates is what an app can observe: route templates with constraints and their precedence, the
route prefix, 404 for a wrong method, keys and auth levels, `%SETTING%` references, the trace
context, the body limit, NCRONTAB timers with past-due detection that never overlap, `POST
/admin/functions/`.

It has no scale-out, no other triggers or bindings, no proxies, no CORS, no default values in route
templates, and no throttles: an app that uses what it cannot serve is refused at the start.
"""
