"""The policy decision point: what Casbin's `enforce` would say, for all of a subject's labels at once.

`model.py` is the meaning (the only door to Casbin). `compiler.py` recognises the shipped matcher; what it recognises is
decided on `label_index.py` (bitmaps of labels) and `rule_index.py` (rows by subject) by `fast.py`, anything else label by
label by `exact.py`. `pdp.py` remembers what was decided. Tests hold fast and exact equal.
"""

from ragward.adapters.pdp_casbin.pdp import CasbinPolicyDecisionPoint

__all__ = ["CasbinPolicyDecisionPoint"]
