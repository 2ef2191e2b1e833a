"""From run folders to committed rows, and from rows to figures, tables and one HTML page.

Interquartile means, stratified bootstrap intervals and probabilities of improvement are those of Agarwal et al.,
"Deep Reinforcement Learning at the Edge of the Statistical Precipice" (2021). Their library `rliable` was archived in
October 2025 without a kept successor (`rliable-fork` on PyPI is one upload of August 2024), and its last release
needs an `arch` below 8.0, which fails to import beside pandas 3. The three definitions are therefore implemented in
`statistics.py`, on scipy, and the tests compare them with rliable's results.
"""
