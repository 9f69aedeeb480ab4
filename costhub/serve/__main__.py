"""``python -m costhub.serve``. Workers are spawned and import what they run by its name, which is not here."""

from costhub.serve.runner import main

if __name__ == "__main__":
    main()
