"""The policy folder: what is audited, where it is kept, and the digest of both, read without Dagster.

`assets/**/defs.yaml` say what (the component RunLogs names the streams), `resources/<profile>.yaml` says where.
Nothing is read but the folder and the environment that is passed in: AUDIT_POLICY, AUDIT_PROFILE (default `local`),
AUDIT_HOME (default `<policy>/audit-home`).
"""

from audit_pipeline.policy.loading import Policy, find_policy, load_policy, policy_digest, profile_passphrase
from audit_pipeline.policy.project import add_stream, init_project

__all__ = ["Policy", "add_stream", "find_policy", "init_project", "load_policy", "policy_digest", "profile_passphrase"]
