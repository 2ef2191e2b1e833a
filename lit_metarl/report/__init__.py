"""From run folders to committed rows, and from rows to figures, tables and one HTML page.

Interquartile means, stratified bootstrap intervals and probabilities of improvement are those of Agarwal et al.,
"Deep Reinforcement Learning at the Edge of the Statistical Precipice" (2021). Their library `rliable` was archived in
October 2025 without a kept successor (`rliable-fork` is one upload of August 2024), and its last release holds `arch`
below the current 8.0 and brings seaborn and statsmodels along. So the three definitions stand here, on scipy, and the
tests compare them with rliable's.
"""
