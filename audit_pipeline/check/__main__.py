import sys

from audit_pipeline.check.command import main

sys.exit(main())
