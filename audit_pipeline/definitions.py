"""The code location: everything that the policy's `assets/` declares, and the daily job over all of it.

The policy folder is found by `audit_pipeline.policy.find_policy`, from AUDIT_POLICY or the working folder.
"""

import os
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

import dagster as dg

from audit_pipeline.components.compliance_report import FINDINGS_ASSET, REPORT_ASSET
from audit_pipeline.components.daily_audit import build_daily_audit
from audit_pipeline.components.daily_seal import AUDIT_TRAIL_ASSET, INVENTORY_ASSET
from audit_pipeline.components.privacy_summaries import GROUP
from audit_pipeline.policy import find_policy, load_policy
from audit_pipeline.policy.components import EXPECTATION_SUITES_TYPE, REPORT_TYPE, find_components
from audit_pipeline.policy.models import ExpectationSuitesAttributes
from audit_pipeline.policy.suites import load_quality


def build_definitions(root: Path) -> dg.Definitions:
    """The definitions of the policy folder `root`.

    Raises:
        PolicyError: a file of the policy is wrong; the message names the file and line.
    """
    # Before Dagster reads the same files: its errors have no line for nested keys, and hide ours behind their own.
    load_policy(root, os.environ)
    for quality in find_components(root, EXPECTATION_SUITES_TYPE):
        if (said := quality.parse(ExpectationSuitesAttributes)).tables is None:
            load_quality(root / said.suites)
    tree = dg.ComponentTree.from_module(defs_module=assets_module(root), project_root=root)
    # Releases have windows of their own, a month has no day, and controls are judged when both were sealed.
    daily = dg.AssetSelection.all() - dg.AssetSelection.groups(GROUP)
    closing: dg.AssetSelection = dg.AssetSelection.assets(AUDIT_TRAIL_ASSET, INVENTORY_ASSET)
    if find_components(root, REPORT_TYPE):
        daily -= dg.AssetSelection.assets(FINDINGS_ASSET, REPORT_ASSET)
        closing |= dg.AssetSelection.assets(FINDINGS_ASSET)
    return dg.Definitions.merge(tree.build_defs(), build_daily_audit(daily, closing, root))


def assets_module(root: Path) -> ModuleType:
    """The policy's `assets/` as a module made from its path: the import name `assets` would clash with others."""
    spec = ModuleSpec("audit_policy_assets", None, is_package=True)
    spec.submodule_search_locations = [str(root / "assets")]
    return module_from_spec(spec)


@dg.definitions
def defs() -> dg.Definitions:
    return build_definitions(find_policy(os.environ, Path.cwd()))
