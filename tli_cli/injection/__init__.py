"""Carrying out a plan: make each target tensor, and stream it to the output.

`plan_checks` holds a plan against both sides. `writing` takes for each tensor the cheapest way: bytes as they are
stored (`stored_values`), rows chosen on their way from file to file (`streams`, `mapped`), or torch (`making`,
`injector`), which also fits (`fitted`). `verification` and `comparison` read a result back and run it.
"""
