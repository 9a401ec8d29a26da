"""Pages of alerts: keyset scans over the open and the closed ones, merged in order.

What columns can tell is asked in SQL. EQUAL matchers on labels and search words come as ids from the search
index; matchers that no index knows are judged row by row, in rounds and within bounds.
"""
