"""What authorization costs and what it loses, measured side by side: `ragward bench`.

`world.py` is the data: vectors, labels, who may read what, and the truth. `systems.py` says what is compared, one module for each
way of doing it. `measuring.py` lets them take turns, `growth.py` and `costs.py` measure what is ours alone, `suite.py` runs
everything into a `report.Report`, which `table.py`, `plots.py` and `page.py` show.
"""
