"""Fit a target to its source by what both compute on made-up inputs: no data, no labels.

At planning time `choice` asks whether a fit promises more, whether both models can be built (`building`) and how long
it takes (`work`), and `points` decides which layers are solved for which values. Carried out on live models
(`running`), `carry_out` observes the source on `samples`, solves layer by layer (`fit`, `solving`), and takes gradient
steps (`polish`). `worth` and `trial` tell what came of it, `verdict` what is carried out of the plan.
"""
