"""From a composed document to a Study, in passes; each notes its faults and the next goes on.

faults    what is wrong, gathered over all passes
settings  the settings of a machine: base, kernel, sysctls and levels laid over each other
head      name, question, seed, replicates and the stopping rule
axes      axes of all three kinds, sampling and nuisance axes
entries   what exclude and include name
levels    every level by itself
cells     combinations into cells
study     the passes one after another
"""
