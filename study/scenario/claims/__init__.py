"""Claims: what a study is to decide.

comparison  a claim, as weighted sums over cells
keys        what a scenario may write as one
read        the claims of a scenario, and what is wrong with them
"""
