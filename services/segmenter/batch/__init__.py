"""The second evaluator of DESIGN §6: what a condition means, said once more and apart from the incremental fold.

It keeps no state: it looks at all rows of a customer anew for every question. It is slow, plain and the judge of
the other one. What it decides by is docs/adr/0011-what-a-condition-means.md.
"""
