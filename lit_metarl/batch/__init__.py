"""Many runs from one file: experiments × methods × seeds, one process each, resumable, here or on a cluster.

    python -m lit_metarl.batch --config results/hfr/batch.yaml --jobs 2

`experiments.py` is the file's format, `runs.py` one run and what became of it, `here.py` runs on this machine,
`cluster.py` submits them as jobs, and `claims.py` lets batches that share a file system make each run once.
"""
