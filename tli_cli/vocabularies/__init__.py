"""Vocabularies: what each row of an embedding stands for, and which rows of another one stand for the same."""
