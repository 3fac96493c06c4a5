"""The `dp` scores of very many pairs, to the last digit those of `score_matching(match_dp(source, target))`.

Where two graphs prove nothing of each other, `dp` aligns stems, heads and stages, and what it finds for two of these
depends on nothing else: it is worked out once for each two that differ, for all sources of a target side by side.
Everything else goes the usual way, over sides that are kept.
"""
