"""A model card in the shape that model hubs read, of what sealed rows say of a model's feedback data: a draft."""

from audit_pipeline.report.facts import Facts, FactTable
from audit_pipeline.report.pages import NOTHING
from audit_pipeline.report.templates import render_text


def render_model_card(facts: Facts) -> bytes:
    """Markdown with a YAML header. A person adds what no log knows."""
    bases = sorted(
        {row[at] for table, at in [_column(facts, "runs", "base model")] for row in table.rows if row[at] != NOTHING}
    )
    data_sets = sorted({row[at] for table, at in [_column(facts, "datasets", "data set")] for row in table.rows})
    return render_text("model_card.md.j2", facts=facts, bases=bases, data_sets=data_sets)


def _column(facts: Facts, name: str, column: str) -> tuple[FactTable, int]:
    table = facts.tables[name]
    return table, table.columns.index(column) if column in table.columns else 0
