"""Why the kernel refused pages: its report, read as text, held against its own test.

From the ground up, each module knowing only those before it: `kernel` (versions and their rules),
`gfp` (request flags by version), `watermark` (marks and the test), `report` (what can be read),
`text` (undoing what mail, logs and markdown do to text), `find` (reports in a text), `verdict`
(zone by zone, the cause), `changes` (what would have let it pass), `render` (for people and
programs), `here` (this machine's own /proc). Standard library only: an answer takes no simulation.
"""
