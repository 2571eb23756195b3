"""Generated examples of a topic each: `*_case` draws one, `*_problems` runs it and lists what is
wrong, `same_*` says whether a smaller one still tests the same.
"""
