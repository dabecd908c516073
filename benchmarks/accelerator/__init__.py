"""What an accelerator does with the library: one program for a machine that is at hand for minutes.

``python -m benchmarks accelerator`` runs the steps of ``steps``, each in processes of their own (``processes``). Such a
process (``child``) writes down what it finds as it finds it (``records``), and the program keeps all of it in a JSON
and as a section of RESULTS.md (``program``, ``report``). One file a step: ``equal``, ``adopted``, ``search``,
``train``, ``sample``, ``memory``, ``digits``, ``cifar``, ``kit``; they share ``frameworks``, ``clock``, ``limits``,
``models`` and ``peers``.
"""
