"""The imperative shell around the core: datasets, experiments, run folders, reports, the command line.

It needs the extra ``lab``. The core never imports it.
"""
