"""`python -m audit_pipeline.cli`: the command line without its script."""

from audit_pipeline.cli import main

main(prog_name="audit-pipeline")
