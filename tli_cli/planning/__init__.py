"""From a matching to a plan: which tensors feed which, and how their axes are mapped. Names and shapes only.

In the order in which it is done:

1. `between` matches both sides, works out the score (`doubted`), and asks for the plan by what a method means
   (`request`);
2. `planner` settles which pairs hold, by rules of `starts`, chooses which source feeds which block (`choice`), and goes
   through the sources;
3. `prepared` works out of a target, one source and their pairs what makes up for other code (`spaces`) and what starts
   so that it changes nothing (`starts`);
4. `drafting` takes pair by pair, `share_drafting` tensor by tensor (`roles`): refused (`refusals`), or a piece, whose
   dimensions are lined up and mapped in `spaces`; `claims` says what speaks against calling it exact;
5. `drafts` writes steps, `quantised` takes those back that tear quantised layers, and `relation` names what came of it.
"""
