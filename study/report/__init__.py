"""A study as a page to look at: figures by matplotlib, a self-contained HTML file by Jinja2.

Importing this room loads neither.
"""
