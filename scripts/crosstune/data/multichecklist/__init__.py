"""MultiCheckList: from the official templates and lists of names to test cases, and the faults of cases.

The rules are those of google-research/xtreme (commit 838c13b, folder multichecklist); see docs/multichecklist.md.
"""
