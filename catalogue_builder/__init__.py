"""What makes the embedded catalogue of the installed libraries: no part of the installed package."""
