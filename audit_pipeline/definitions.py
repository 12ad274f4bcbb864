"""The code location: everything that the policy's `assets/` declares, and the daily job over all of it.

The policy folder is found by `audit_pipeline.policy.find_policy`, from AUDIT_POLICY or the working folder.
"""

import os
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path

import dagster as dg

from audit_pipeline.components.daily_audit import build_daily_audit
from audit_pipeline.policy import find_policy


def build_definitions(root: Path) -> dg.Definitions:
    """The definitions of the policy folder `root`."""
    # The folder is loaded by its path: an import name `assets` would clash with any other project's.
    spec = ModuleSpec("audit_policy_assets", None, is_package=True)
    spec.submodule_search_locations = [str(root / "assets")]
    tree = dg.ComponentTree.from_module(defs_module=module_from_spec(spec), project_root=root)
    return dg.Definitions.merge(tree.build_defs(), build_daily_audit(dg.AssetSelection.all()))


@dg.definitions
def defs() -> dg.Definitions:
    return build_definitions(find_policy(os.environ, Path.cwd()))
