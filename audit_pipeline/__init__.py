"""Evidence for RLHF runs. Imports nothing: an auditor's offline check starts here with the standard library alone."""
