from minae.cli import main

raise SystemExit(main())
