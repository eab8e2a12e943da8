"""``python -m afir`` is the command ``afir``."""

from afir.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
