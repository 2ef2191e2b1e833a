"""The page's style sheet: one column that reads on a phone, and nothing from elsewhere."""

CSS = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: #222; background: #fff;
  max-width: 46rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
h3 { font-size: 1rem; margin: 1.75rem 0 .4rem; }
nav ul { padding-left: 1.2rem; }
figure { margin: 1rem 0; } img { display: block; width: 100%; height: auto; }
figcaption, .small { color: #555; font-size: .88rem; }
.table { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem .3rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid #e6e6e6; }
th { color: #555; font-weight: 600; } th:first-child, td:first-child { text-align: left; }
.notes { background: #fff7e6; border-left: 4px solid #e69f00; padding: .5rem .5rem .5rem 1.6rem; margin: .8rem 0; }
code, pre { font-size: .85rem; background: #f4f4f4; border-radius: 3px; }
pre { padding: .6rem; overflow-x: auto; } code { padding: .1rem .25rem; } pre code { padding: 0; }
""".strip()
